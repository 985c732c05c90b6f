"""Figure 2 of Real et al. 2017: several runs of different seeds, and controls."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxevo.reports.figures.accuracy import accuracies, all_tested, best_so_far
from jaxevo.reports.figures.clock import Axis, Clock, axis_of, times
from jaxevo.reports.figures.style import COLUMN, DASHES, SERIES, SOFT, new_figure, percent_axis, style
from jaxevo.reports.page.comparison import mean_and_interval

if TYPE_CHECKING:
    import pandas

_MOMENTS = 200
_ZOOMED = 0.5
"""The inset shows this last part of the time."""


class _Course(NamedTuple):
    name: str
    moments: np.ndarray
    runs: np.ndarray


def repeatability(
    groups: "Mapping[str, Sequence[pandas.DataFrame]]", *, clock: Clock = "flops", inset: bool = True
) -> Figure:
    """Draws, for each group of runs, the mean accuracy of the individual that is the fittest so far, against time.

    The band is the 95 % interval of the mean by Student's t over the runs of a group; thin lines are its runs. A line
    ends where the first of its runs ends.

    Args:
        groups: the histories of the runs of each group by its name, such as `{"evolution": [one.history, ...]}`; the
            runs of a group differ in their seed alone.
        clock: unit of time: training FLOPs so far, virtual time, or individuals.
        inset: True to magnify the end of the lines.

    Raises:
        ValueError: if there is no run, the clock is unknown, or no training of a run has succeeded.
    """
    if not any(groups.values()):
        raise ValueError("no runs are given: give the histories of one or more")
    tested = all_tested(history for histories in groups.values() for history in histories)
    courses = [_course(name, histories, clock, tested) for name, histories in groups.items() if histories]
    label = accuracies(next(histories[0] for histories in groups.values() if histories), tested=tested).label
    axis = axis_of(clock, max(course.moments[-1] for course in courses))
    with style():
        figure = new_figure(COLUMN, 2.3 + 0.14 * len(courses))
        axes = figure.subplots()
        _draw(axes, courses, axis)
        axes.set_xlabel(axis.label)
        axes.set_ylabel(label)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.1, labelspacing=0.3, handlelength=2.6)
        if inset:
            _magnify(axes, courses, axis)
        return figure


def _course(name: str, histories: "Sequence[pandas.DataFrame]", clock: Clock, tested: bool) -> _Course:
    """Returns the accuracies of runs at moments that all of them have, float [runs, moments]."""
    told = [times(history, clock) for history in histories]
    best = [best_so_far(history, tested=tested) for history in histories]
    first = max(moments[np.isfinite(values)][0] for moments, values in zip(told, best, strict=True))
    moments = np.linspace(first, min(moments[-1] for moments in told), _MOMENTS)
    runs = [
        values[np.searchsorted(events, moments, side="right") - 1] for events, values in zip(told, best, strict=True)
    ]
    return _Course(name, moments, np.array(runs))


def _draw(axes: Axes, courses: Sequence[_Course], axis: Axis) -> None:
    for place, course in enumerate(courses):
        colour, dashes = SERIES[place % len(SERIES)], DASHES[place % len(DASHES)]
        moments, (mean, half) = course.moments / axis.unit, mean_and_interval(course.runs)
        number = len(course.runs)
        label = f"{course.name} ({number} run{'s' if number > 1 else ''})"
        if number > 1:
            axes.fill_between(moments, mean - half, mean + half, color=colour, alpha=0.16, linewidth=0)
            for run in course.runs:
                axes.plot(moments, run, color=colour, alpha=0.35, linewidth=0.5, drawstyle="steps-post")
        axes.plot(moments, mean, color=colour, linestyle=dashes, linewidth=1.4, label=label, drawstyle="steps-post")
    axes.margins(x=0.02)
    # The band of two runs may be wider than all accuracies.
    axes.set_ylim(max(0.0, min(float(course.runs.min()) for course in courses) - 0.03), 1.0)
    percent_axis(axes)


def _magnify(axes: Axes, courses: Sequence[_Course], axis: Axis) -> None:
    """Adds an inset of the end of all lines, if these are close to each other there."""
    last = min(course.moments[-1] for course in courses)
    begin = min(last, max((1 - _ZOOMED) * last, *(course.moments[0] for course in courses)))
    ends = np.concatenate([course.runs[:, course.moments >= begin].ravel() for course in courses])
    low, high = float(ends.min()), float(ends.max())
    bottom = axes.get_ylim()[0]
    if high - low > 0.3 * (1 - bottom):
        return
    inner = axes.inset_axes((0.44, 0.13, 0.53, 0.5))
    _draw(inner, courses, axis)
    inner.set_xlim(begin / axis.unit, last / axis.unit)
    space = 0.08 * max(high - low, 0.005)
    inner.set_ylim(low - space, min(1.0, high + space))
    inner.tick_params(labelsize=6.0)
    inner.locator_params(nbins=4)
    inner.spines[["top", "right"]].set_visible(True)
    axes.indicate_inset_zoom(inner, edgecolor=SOFT, alpha=0.6, linewidth=0.6)
