"""Early stopping of hopeless births, after the median stopping rule (Golovin et al. 2017, section 3.2.2).

A training is checked at fixed steps, and stopped at a check if its validation accuracy there is below a quantile of
what the individuals told last had at the same check: amid a schedule, accuracies are below those at the end. Only
children that start from inherited weights are checked, against each other: one that starts anew would always be below.
"""

import math
from collections.abc import Sequence

from jaxevo.search.births import Threshold

_FRACTIONS = 1 / 4, 1 / 2
# Accuracies rise during a run, so those of long ago say little.
_WINDOW = 16
# The quantile of fewer is hardly more than chance.
_FEWEST = 5

CheckHistory = tuple[tuple[float, ...], ...]
"""The validation accuracies at the checks of the checked individuals told last, the oldest first. One that was stopped
has none at the checks after it."""


def thresholds(history: CheckHistory, quantile: float, train_steps: int) -> tuple[Threshold, ...]:
    """Returns the thresholds of a birth, by step; fewer than two if there are too few steps.

    Args:
        history: of the individuals told so far.
        quantile: in (0, 1); about this share of the trainings that reach a check is stopped there.
        train_steps: of a whole training.
    """
    steps = sorted({int(fraction * train_steps) for fraction in _FRACTIONS} - {0})
    return tuple(
        Threshold(step, _quantile([checks[place] for checks in history if len(checks) > place], quantile))
        for place, step in enumerate(steps)
    )


def extended(history: CheckHistory, checks: tuple[float, ...]) -> CheckHistory:
    """Returns a history with the accuracies of one more individual, which are empty if it was not checked."""
    return (*history, checks)[-_WINDOW:] if checks else history


def _quantile(accuracies: Sequence[float], quantile: float) -> float:
    """Returns the smallest accuracy with at least this share of all at or below it; 0, which stops none, for a few."""
    if len(accuracies) < _FEWEST:
        return 0.0
    return sorted(accuracies)[math.ceil(quantile * len(accuracies)) - 1]
