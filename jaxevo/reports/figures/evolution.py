"""Figure 1 of Real et al. 2017: every individual of a run, and networks of the winner's lineage."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxevo.reports.figures.accuracy import Accuracies, accuracies
from jaxevo.reports.figures.clock import Clock, axis_of, times
from jaxevo.reports.figures.network import draw_network
from jaxevo.reports.figures.style import ALIVE, COLUMN, FAINT, INK, PAGE, WINNER, new_figure, percent_axis, style
from jaxevo.search.space import Drawing

if TYPE_CHECKING:
    import pandas

_HEIGHT = 2.7
_MOST_DRAWN, _DRAWN_WIDTH = 4, 0.72


def evolution(
    history: "pandas.DataFrame", drawing: Callable[[int], Drawing] | None = None, *, clock: Clock = "flops"
) -> Figure:
    """Draws the accuracy of every individual against the time at which it was told.

    A dot is an individual: alive at the end, or dead. The line joins the fittest with its ancestors. Up to four of
    these are marked with letters, and their networks are drawn beside. Failed trainings are left out.

    Args:
        history: `run.history`.
        drawing: returns the drawing of an individual by id, such as `run.drawing`. The figure is then 6.9 inches wide;
            without it no networks are drawn, and the figure is 3.3 inches wide.
        clock: unit of time: training FLOPs so far, virtual time, or individuals.

    Raises:
        ValueError: if the clock is unknown, or no training has succeeded.
    """
    shown, moments = accuracies(history), times(history, clock)
    axis = axis_of(clock, moments[-1])
    line = _lineage(history, shown.winner)
    with style():
        figure = new_figure(COLUMN if drawing is None else PAGE, 2.2 if drawing is None else _HEIGHT)
        if drawing is None:
            axes, marked = figure.subplots(), [line[0], line[-1]] if len(line) > 1 else line
        else:
            marked, drawings = _drawn(history, line, drawing)
            parts = figure.subfigures(
                1, 2, squeeze=False, width_ratios=(PAGE / _DRAWN_WIDTH - len(marked), len(marked))
            )
            axes = parts[0, 0].subplots()
            beside = parts[0, 1].subplots(1, len(marked), squeeze=False)[0]
            _draw_networks(beside, drawings, shown.values[marked])
        _draw_individuals(axes, history, moments / axis.unit, shown, line)
        for letter, place in zip("ABCD", marked, strict=False):
            _mark(axes, moments[place] / axis.unit, shown.values[place], letter)
        axes.set_xlabel(axis.label)
        axes.set_ylabel(shown.label)
        percent_axis(axes)
        return figure


def _lineage(history: "pandas.DataFrame", winner: int) -> list[int]:
    """Returns the places of an individual's ancestors, the oldest first, and its own."""
    places = {one: place for place, one in enumerate(history["id"])}
    parents = history["parent_id"].tolist()
    line, place = [], places.get(history["id"].iloc[winner])
    while place is not None:
        line.append(place)
        place = places.get(parents[place])
    return line[::-1]


def _drawn(
    history: "pandas.DataFrame", line: Sequence[int], drawing: Callable[[int], Drawing]
) -> tuple[list[int], list[Drawing]]:
    """Returns the places of up to four of a lineage, evenly chosen from those that changed the network, and these."""
    ids = history["id"].tolist()
    drawings = {place: drawing(ids[place]) for place in line}
    changed: list[int] = []
    for place in line:
        if not changed or drawings[place][:2] != drawings[changed[-1]][:2]:
            changed.append(place)
    changed[-1] = line[-1]
    chosen = [changed[round(index)] for index in np.linspace(0, len(changed) - 1, min(_MOST_DRAWN, len(changed)))]
    return chosen, [drawings[place] for place in chosen]


def _draw_individuals(
    axes: Axes, history: "pandas.DataFrame", moments: np.ndarray, shown: Accuracies, line: Sequence[int]
) -> None:
    alive = history["death"].isna().to_numpy()
    size = float(np.clip(1500 / len(history), 3.0, 14.0))
    for group, colour in ((~alive, FAINT), (alive, ALIVE)):
        axes.scatter(moments[group], shown.values[group], size, colour, linewidths=0)
    axes.plot(moments[line], shown.values[line], color=WINNER, linewidth=1.0)
    axes.scatter(moments[line], shown.values[line], size * 1.2, WINNER, linewidths=0)
    axes.margins(x=0.02, y=0.09)
    handles = [
        *(Line2D([], [], marker="o", markersize=4, linestyle="", color=one) for one in (FAINT, ALIVE)),
        Line2D([], [], color=WINNER, linewidth=1.0),
    ]
    axes.legend(
        handles,
        ("dead", "alive", "lineage of the fittest"),
        loc="lower right",
        bbox_to_anchor=(1, 1.01),
        ncols=3,
        borderaxespad=0.0,
        handletextpad=0.3,
        columnspacing=1.2,
        handlelength=1.2,
    )


def _mark(axes: Axes, moment: float, accuracy: float, letter: str) -> None:
    axes.scatter([moment], [accuracy], 22, "white", edgecolors=WINNER, linewidths=1.0, zorder=4)
    axes.annotate(
        letter, (moment, accuracy), (0, 4.5), textcoords="offset points", ha="center", va="bottom", weight="bold",
        color=INK, zorder=5,
    )  # fmt: skip


def _draw_networks(axes: Sequence[Axes], drawings: Sequence[Drawing], values: np.ndarray) -> None:
    for one, drawing, letter, accuracy in zip(axes, drawings, "ABCD", values, strict=False):
        draw_network(one, drawing, _DRAWN_WIDTH - 0.06, _HEIGHT - 0.4)
        one.set_title(rf"$\bf{{{letter}}}$  {accuracy:.1%}", fontsize=7.0, pad=3)
