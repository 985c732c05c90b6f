"""Several runs beside each other: groups by setting, and exact tests where seeds match."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxevo.reports.page.assemble import assemble
from jaxevo.reports.page.repeat import shown_setting
from jaxevo.settings import Settings
from jaxevo.storage.history import History
from jaxevo.storage.journal import wall_clock_seconds

_SCRIPTS = ("numbers.js", "dom.js", "scale.js", "comparison.js", "comparison-main.js")
_MOMENTS = 200
_ROUNDING = 1e-12
MOST_PAIRS = 20
"""Pairs of runs up to which all signs are tried: about a million."""
# 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom; beyond, that of the normal distribution is close.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120)
_NORMAL = 1.96


@dataclass(frozen=True)
class Compared:
    """A run to compare.

    Attributes:
        name: of its folder.
        group: the settings in which groups differ, as text.
        control: True if its selection or inheritance is that of a control.
        seed: its seed.
        course: after each event, the test accuracy of the individual that is best by validation; NaN if not known.
        facts: further numbers, for the table.
    """

    name: str
    group: str
    control: bool
    seed: int
    course: np.ndarray
    facts: dict[str, float | None]


def compare(runs: Mapping[str, History]) -> dict[str, Any]:
    """Returns all that the page of several runs shows, as JSON values.

    Args:
        runs: the runs by name.

    Raises:
        ValueError: if there are fewer than two, one has no finished individual, or they differ in their data.
    """
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} runs are given, but a comparison needs two or more with different folders")
    if len({history.manifest.data_fingerprint for history in runs.values()}) > 1:
        raise ValueError("the runs are of different data, so their accuracies cannot be compared: give runs of one")
    differing = _differing([history.manifest.settings for history in runs.values()])
    compared = [_compared(name, history, differing) for name, history in runs.items()]
    groups: dict[str, list[Compared]] = {}
    for run in sorted(compared, key=lambda one: (one.control, one.group, one.seed)):
        groups.setdefault(run.group, []).append(run)
    return {
        "differing": differing,
        "groups": [_group_to_json(name, members) for name, members in groups.items()],
        "runs": [
            {"name": one.name, "group": one.group, "seed": one.seed, "events": len(one.course), **one.facts}
            for members in groups.values()
            for one in members
        ],
        "tests": [_pair_to_json(*pair) for pair in itertools.combinations(groups.values(), 2)],
    }


def comparison_page(data: Mapping[str, Any]) -> str:
    """Returns the page that shows a comparison, as HTML."""
    return assemble("comparison.html", _SCRIPTS, data, f"{len(data['runs'])} runs compared")


def sign_flip_test(differences: Sequence[float]) -> tuple[float, float] | None:
    """Tests exactly if paired differences are symmetric around 0.

    Args:
        differences: one a pair.

    Returns:
        The two-sided p-value, and the smallest that so many pairs can reach; None for no pairs, or too many to try.
    """
    if not 1 <= len(differences) <= MOST_PAIRS:
        return None
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    observed = abs(math.fsum(differences))
    return float(np.mean(np.abs(sums) >= observed - _ROUNDING)), 2.0 ** (1 - len(differences))


def mean_and_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean over the first axis, and half the width of its 95 % interval by Student's t; NaN for one row."""
    rows = len(values)
    if rows < 2:
        return values.mean(axis=0), np.full(values.shape[1:], np.nan)
    quantile = _T[rows - 2] if rows - 2 < len(_T) else _NORMAL
    return values.mean(axis=0), quantile * values.std(axis=0, ddof=1) / math.sqrt(rows)


def _differing(settings: Sequence[Settings]) -> list[str]:
    """Returns the names of the settings in which runs differ, but for the seed."""
    names = [field.name for field in dataclasses.fields(Settings) if field.name not in ("seed", "dataset")]
    return [name for name in names if len({getattr(one, name) for one in settings}) > 1]


def _compared(name: str, history: History, differing: Sequence[str]) -> Compared:
    settings, best = history.manifest.settings, history.state.best
    if best is None:
        raise ValueError(f"the run {name} has no finished individual yet: leave it out")
    shown = [
        f"{setting.replace('_', ' ')} {shown_setting(setting, getattr(settings, setting))}" for setting in differing
    ]
    lives = history.lives.values()
    fitness = [life.individual.fitness for life in lives]
    test = [life.record.test_accuracy for life in lives]
    course, leader = np.empty(len(fitness)), 0
    for place in range(len(fitness)):
        if fitness[place] > fitness[leader]:
            leader = place
        course[place] = math.nan if test[leader] is None else test[leader]
    return Compared(
        name,
        group=", ".join(shown) or "all runs",
        control=settings.selection == "random" or settings.inheritance == "none",
        seed=settings.seed,
        course=course,
        facts={
            "validation": best.accuracy,
            "test": _known(course[-1]),
            "parameters": history.lives[best.id].birth.cost.parameters,
            "flops": history.state.total_flops,
            "wall": round(wall_clock_seconds(history.journal), 1),
        },
    )


def _group_to_json(name: str, members: Sequence[Compared]) -> dict[str, Any]:
    events = min(len(one.course) for one in members)
    moments = sorted({round(moment) for moment in np.linspace(1, events, min(events, _MOMENTS))})
    courses = np.array([[one.course[moment - 1] for moment in moments] for one in members])
    mean, half = mean_and_interval(courses)
    final, final_half = mean_and_interval(np.array([[one.course[-1]] for one in members]))
    return {
        "name": name,
        "control": members[0].control,
        "seeds": [one.seed for one in members],
        "moments": moments,
        "mean": [_known(value) for value in mean],
        "half": [_known(value) for value in half],
        "final": _known(final[0]),
        "final_half": _known(final_half[0]),
        "flops": float(np.mean([one.facts["flops"] for one in members])),
        "wall": float(np.mean([one.facts["wall"] for one in members])),
    }


def _pair_to_json(one: Sequence[Compared], other: Sequence[Compared]) -> dict[str, Any]:
    """Returns the test of two groups, over the seeds that both have."""
    left, right = ({run.seed: run.course[-1] for run in group} for group in (one, other))
    seeds = [seed for seed in left if seed in right]
    differences = [float(left[seed] - right[seed]) for seed in seeds]
    known = [difference for difference in differences if math.isfinite(difference)]
    tested = sign_flip_test(known)
    return {
        "groups": [one[0].group, other[0].group],
        "pairs": len(known),
        "difference": _known(sum(known) / len(known)) if known else None,
        "p": None if tested is None else tested[0],
        "smallest": None if tested is None else tested[1],
    }


def _known(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
