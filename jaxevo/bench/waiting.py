"""Note when programs are compiled, and measure the time in which no lane trains meanwhile."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax


class Interval(NamedTuple):
    """An interval of time.

    Attributes:
        begin: Unix time in seconds.
        end: Unix time in seconds, not before `begin`.
    """

    begin: float
    end: float


@contextlib.contextmanager
def intervals_of(name: str) -> Iterator[list[Interval]]:
    """Yields a list that gets the interval of every duration that `jax.monitoring` tells of the event of a name."""
    found: list[Interval] = []

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        if event == name:
            now = time.time()
            found.append(Interval(now - duration_secs, now))

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
