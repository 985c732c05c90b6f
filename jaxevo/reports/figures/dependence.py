"""Figure 3 of Real et al. 2017: the accuracy at the end against a setting, such as the size of the population."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from jaxevo.reports.figures.accuracy import accuracies, all_tested
from jaxevo.reports.figures.style import ALIVE, COLUMN, SOFT, WINNER, new_figure, percent_axis, style

if TYPE_CHECKING:
    import pandas


def dependence(panels: "Mapping[str, Mapping[float, Sequence[pandas.DataFrame]]]") -> Figure:
    """Draws the accuracy of the fittest individual of each run, a circle, against a setting, and the means as bars.

    Args:
        panels: for each setting by its name, the histories of the runs by its value, above 0, such as
            `{"population size": {8: [small.history], 32: [large.history]}}`. One panel for each, side by side; other
            settings should be equal in a panel, and so should the FLOPs spent.

    Raises:
        ValueError: if there is no run, or no training of a run has succeeded.
    """
    if not panels or not all(runs and all(runs.values()) for runs in panels.values()):
        raise ValueError("a panel has no runs: give the histories of one or more for each value of its setting")
    tested = all_tested(history for runs in panels.values() for some in runs.values() for history in some)
    with style():
        figure = new_figure(COLUMN, 2.0)
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (name, runs) in zip(all_axes, panels.items(), strict=True):
            label = _draw(axes, runs, tested)
            axes.set_xlabel(name)
        all_axes[0].set_ylabel(label)
        percent_axis(all_axes[0])
        return figure


def _draw(axes: Axes, runs: "Mapping[float, Sequence[pandas.DataFrame]]", tested: bool) -> str:
    """Draws a panel and returns the label of its vertical axis."""
    values = sorted(runs)
    for value in values:
        found = [accuracies(history, tested=tested) for history in runs[value]]
        ends = [float(one.values[one.winner]) for one in found]
        label = found[0].label
        axes.plot([value] * len(ends), ends, "o", color=ALIVE, markersize=4.5, fillstyle="none", markeredgewidth=1.0)
        axes.plot([value], [np.mean(ends)], "_", color=WINNER, markersize=13, markeredgewidth=1.4)
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:,g}" for value in values])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.grid(visible=False, axis="x")
    space = 1.5 if len(values) > 1 else 2.0
    axes.set_xlim(values[0] / space, values[-1] * space)
    axes.margins(y=0.1)
    axes.tick_params(axis="x", color=SOFT)
    return label
