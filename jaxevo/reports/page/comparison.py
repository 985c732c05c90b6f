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
from jaxevo.settings import Limits, Settings
from jaxevo.storage.history import History
from jaxevo.storage.journal import wall_clock_seconds

_SCRIPTS = ("numbers.js", "dom.js", "scale.js", "comparison.js", "comparison-main.js")
_MOMENTS = 200
_ROUNDING = 1e-12
MOST_PAIRS = 20
"""Pairs of runs up to which all signs are tried: about a million."""
_LIMITS = ("max_individuals", "max_flops", "max_seconds", "target_accuracy")
# 97.5 % quantiles of Student's t for 1, 2, ... 30 degrees of freedom, ten a line.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True)
class Compared:
    """A run to compare.

    Attributes:
        name: of its folder.
        group: the settings and limits in which groups differ, as text.
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
        ValueError: if there are fewer than two, all are the same, one has no finished individual, or they differ in
            their data.
    """
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} runs are given, but a comparison needs two or more with different folders")
    if len({history.manifest.data_fingerprint for history in runs.values()}) > 1:
        raise ValueError("the runs are of different data, so their accuracies cannot be compared: give runs of one")
    original = _originals(runs)
    kept = {name: history for name, history in runs.items() if original[name] == name}
    if len(kept) < 2:
        raise ValueError(
            f"the {len(runs)} runs that are given are one and the same, by their fingerprint, but a comparison needs "
            "two or more: give others"
        )
    differing = _differing(list(kept.values()))
    compared = [_compared(name, history, differing) for name, history in kept.items()]
    groups: dict[str, list[Compared]] = {}
    for run in sorted(compared, key=lambda one: (one.control, one.group, one.seed)):
        groups.setdefault(run.group, []).append(run)
    return {
        "differing": differing,
        "copies": [(name, first) for name, first in original.items() if name != first],
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
    return values.mean(axis=0), _quantile(rows - 1) * values.std(axis=0, ddof=1) / math.sqrt(rows)


def _quantile(freedom: int) -> float:
    """Returns the 97.5 % quantile of Student's t for so many degrees of freedom, with an error below 0.2 %."""
    return _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.4 / freedom


def _originals(runs: Mapping[str, History]) -> dict[str, str]:
    """Returns for each run the first one of the same settings and fingerprint: itself, or the one that it repeats."""
    first: dict[tuple[Settings, str], str] = {}
    # A copy may have its data elsewhere.
    return {
        name: first.setdefault(
            (dataclasses.replace(history.manifest.settings, dataset=""), history.state.fingerprint), name
        )
        for name, history in runs.items()
    }


def _differing(histories: Sequence[History]) -> list[str]:
    """Returns the names of the settings in which runs differ, but for the seed, and of the limits that ended them."""
    names = [field.name for field in dataclasses.fields(Settings) if field.name not in ("seed", "dataset")]
    ended = {history.journal.stopped.reason for history in histories if history.journal.stopped is not None}
    names += [name for name in _LIMITS if name in ended]
    return [name for name in names if len({_value(history, name) for history in histories}) > 1]


def _value(history: History, name: str) -> Any:
    """Returns the value of a setting, or of a limit in the last session."""
    if name not in _LIMITS:
        return getattr(history.manifest.settings, name)
    sessions = history.journal.sessions
    limits: Limits = sessions[-1].limits if sessions else history.manifest.limits
    return getattr(limits, name)


def _shown(history: History, name: str) -> str:
    """Returns a setting or limit with its name, as text."""
    value, words = _value(history, name), name.replace("_", " ")
    if name not in _LIMITS:
        return f"{words} {shown_setting(name, value)}"
    return f"no {words}" if value is None else f"{words} {value:.12g}"


def _compared(name: str, history: History, differing: Sequence[str]) -> Compared:
    settings, best = history.manifest.settings, history.state.best
    if best is None:
        raise ValueError(f"the run {name} has no finished individual yet: leave it out")
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
        group=", ".join(_shown(history, setting) for setting in differing) or "all runs",
        control=settings.selection == "random" or settings.inheritance == "none",
        seed=settings.seed,
        course=course,
        facts={
            "validation": None if best.failure is not None else best.accuracy,
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
    left, right = _finals(one), _finals(other)
    differences = [left[seed] - right[seed] for seed in left if seed in right]
    known = [difference for difference in differences if math.isfinite(difference)]
    tested = sign_flip_test(known)
    return {
        "groups": [one[0].group, other[0].group],
        "pairs": len(known),
        "difference": _known(sum(known) / len(known)) if known else None,
        "p": None if tested is None else tested[0],
        "smallest": None if tested is None else tested[1],
    }


def _finals(group: Sequence[Compared]) -> dict[int, float]:
    """Returns the last accuracy by seed, of a seed with several runs their mean."""
    finals: dict[int, list[float]] = {}
    for run in group:
        finals.setdefault(run.seed, []).append(float(run.course[-1]))
    return {seed: sum(values) / len(values) for seed, values in finals.items()}


def _known(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
