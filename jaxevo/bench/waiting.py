"""Measure the time in which no lane trains because programs are still being compiled."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from jaxevo.networks.programs import MADE


class Interval(NamedTuple):
    """An interval of time.

    Attributes:
        begin: Unix time in seconds.
        end: Unix time in seconds, not before `begin`.
    """

    begin: float
    end: float


@contextlib.contextmanager
def compilations() -> Iterator[list[Interval]]:
    """Yields a list that gets the interval of every compilation of an architecture in this process."""
    found: list[Interval] = []

    def note(event: str, duration: float, **_: Any) -> None:
        if event == MADE:
            now = time.time()
            found.append(Interval(now - duration, now))

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def waiting_seconds(whole: Interval, trained: Sequence[Interval], compiled: Sequence[Interval]) -> float:
    """Returns the seconds of an interval in which something is compiled and nothing is trained.

    Args:
        whole: the interval; the rest of others is ignored.
        trained: intervals of trainings, which may overlap.
        compiled: intervals of compilations, which may overlap.
    """
    either = _covered(whole, [*trained, *compiled])
    return either - _covered(whole, trained)


def _covered(whole: Interval, intervals: Sequence[Interval]) -> float:
    """Returns the seconds of an interval that others cover together."""
    seconds, reached = 0.0, whole.begin
    for begin, end in sorted(intervals):
        first, last = max(begin, reached), min(end, whole.end)
        if last > first:
            seconds += last - first
            reached = last
    return seconds
