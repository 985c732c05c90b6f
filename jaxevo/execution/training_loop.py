"""Run a training to its end, with checkpoints, and stop it when asked."""

import time
from collections.abc import Callable

from jaxevo.networks.trainer import Training

_SECONDS_WITHOUT_ASKING = 1.0


class CancelledError(Exception):
    """The session ends and dropped a training."""


class DivergedError(Exception):
    """A training produced numbers that are not finite, the only way in which a training fails."""


def run_to_end(
    training: Training, cancelled: Callable[[], bool], save: Callable[[], None], checkpoint_seconds: float
) -> None:
    """Runs the steps of a training that are left.

    Args:
        training: training to run, from its first step or from a checkpoint.
        cancelled: called about once a second; returns True if the training must be dropped.
        save: saves a checkpoint of the training.
        checkpoint_seconds: seconds between two checkpoints.

    Raises:
        CancelledError: soon after `cancelled()` is True.
        DivergedError: if a loss is not finite.
    """
    calls, saved = 1, time.perf_counter()
    while not training.done:
        if cancelled():
            raise CancelledError
        began = time.perf_counter()
        training.advance(calls * training.steps_a_call)
        if not training.finite:
            raise DivergedError("the loss is not a finite number")
        # The number of calls affects only how soon a cancellation is noticed, not the result.
        calls = max(1, int(calls * min(2.0, _SECONDS_WITHOUT_ASKING / (time.perf_counter() - began))))
        if time.perf_counter() - saved >= checkpoint_seconds and not training.done:
            save()
            saved = time.perf_counter()
