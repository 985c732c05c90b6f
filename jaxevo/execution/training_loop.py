"""Run a training to its end, with checks and checkpoints, and stop it when asked."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxevo.networks.evaluation import Validation
from jaxevo.networks.trainer import Training
from jaxevo.search.births import Threshold

_SECONDS_WITHOUT_ASKING = 1.0


class CancelledError(Exception):
    """The session ends and dropped a training."""


class DivergedError(Exception):
    """A training produced numbers that are not finite, the only way in which a training fails."""


def check_finite(variables: Any) -> None:
    """Raises `DivergedError` if a trained array, NumPy, holds a number that is not finite.

    A finite loss is not enough: XLA's CPU backend fuses ReLU and mean such that NaN becomes 0.
    """
    if not all(np.isfinite(array).all() for array in jax.tree.leaves(variables)):
        raise DivergedError("a trained weight is not a finite number")


class Checks:
    """The checks of a training, which may stop it early.

    Attributes:
        accuracies: validation accuracy in [0, 1] at each check so far.
        stopped_at: number of steps after which the last check stopped the training, None if none did.
        last: validation at the check that stopped the training, None if none did.
    """

    def __init__(self, thresholds: Sequence[Threshold] = (), validate: Callable[[], Validation | None] = lambda: None):
        """Makes the checks of a training from its first step.

        Args:
            thresholds: of its birth.
            validate: returns the present validation, None if a logit is not finite.
        """
        self._thresholds = thresholds
        self._validate = validate
        self.accuracies: tuple[float, ...] = ()
        self.stopped_at: int | None = None
        self.last: Validation | None = None

    @property
    def next_step(self) -> int | None:
        """Number of steps after which the next check is due, None if none is left."""
        made = len(self.accuracies)
        return self._thresholds[made].step if made < len(self._thresholds) else None

    def stops(self) -> bool:
        """Makes the check that is due; returns True if the training must stop.

        Raises:
            DivergedError: if a logit is not finite.
        """
        threshold = self._thresholds[len(self.accuracies)]
        validation = self._validate()
        if validation is None:
            raise DivergedError("a logit is not a finite number")
        self.accuracies = (*self.accuracies, validation.accuracy)
        if validation.accuracy < threshold.accuracy:
            self.stopped_at, self.last = threshold.step, validation
        return self.stopped_at is not None

    def made_by(self, step: int) -> int:
        """Returns the number of checks that a training has made when it goes on from a step."""
        return sum(threshold.step <= step for threshold in self._thresholds)


def run_to_end(
    training: Training,
    cancelled: Callable[[], bool],
    save: Callable[[], None],
    checkpoint_seconds: float,
    checks: Checks | None = None,
) -> None:
    """Runs the steps of a training that are left, until a check stops it.

    Args:
        training: training to run, from its first step or from a checkpoint.
        cancelled: called about once a second; returns True if the training must be dropped.
        save: saves a checkpoint of the training.
        checkpoint_seconds: seconds between two checkpoints.
        checks: made after exactly the steps that they name. Default: none.

    Raises:
        CancelledError: soon after `cancelled()` is True.
        DivergedError: if a loss, or a logit at a check, is not finite.
    """
    checks = Checks() if checks is None else checks
    calls, saved = 1, time.perf_counter()
    while not training.done:
        if cancelled():
            raise CancelledError
        began = time.perf_counter()
        steps = wanted = calls * training.steps_a_call
        if checks.next_step is not None:
            steps = min(wanted, checks.next_step - training.step)
        training.advance(steps)
        if not training.finite:
            raise DivergedError("the loss is not a finite number")
        # The number of calls affects only how soon a cancellation is noticed, not the result.
        seconds = (time.perf_counter() - began) * wanted / steps
        calls = max(1, int(calls * min(2.0, _SECONDS_WITHOUT_ASKING / seconds)))
        if training.step == checks.next_step and checks.stops():
            return
        if time.perf_counter() - saved >= checkpoint_seconds and not training.done:
            save()
            saved = time.perf_counter()
