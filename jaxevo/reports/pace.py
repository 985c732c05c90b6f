"""How fast a run goes: its time left, and durations as text."""

import collections
import time

from jaxevo.session.progress import Progress

_EVENTS = 5
"""Fewest events to measure a rate by."""
_SHARE = 0.03
"""Share of a limit that must be spent before a rate is told: the first networks cost next to nothing."""


class Pace:
    """Estimates the time left of a run from its rate in the later half of the session, because networks grow."""

    def __init__(self) -> None:
        """Begins without an estimate."""
        self._told: collections.deque[tuple[float, int, int]] = collections.deque()
        self._finish_began = (0.0, 0)
        self._finish_step: int | None = None

    def note(self, progress: Progress) -> None:
        """Takes the progress, if it has a new event."""
        told = (progress.session_seconds, progress.state.events, progress.state.total_flops)
        if not self._told or self._told[-1][1] != told[1]:
            self._told.append(told)
        while len(self._told) > _EVENTS and told[0] - self._told[0][0] > told[0] / 2:
            self._told.popleft()

    def seconds_left(self, progress: Progress) -> float | None:
        """Returns the seconds until the first limit is met, None if that cannot be told."""
        state, limits, now = progress.state, progress.limits, progress.session_seconds
        began, *first = self._told[0] if self._told else (now, state.events, state.total_flops)
        left = []
        for limit, told, before in zip(
            (limits.max_individuals, limits.max_flops), (state.events, state.total_flops), first, strict=True
        ):
            if limit is not None and told > before and told >= _SHARE * limit:
                left.append(max(0.0, limit - told) * (now - began) / (told - before))
        if limits.max_seconds is not None:
            left.append(max(0.0, limits.max_seconds - now))
        return min(left, default=None)

    def finish_left(self, step: int, steps: int) -> float | None:
        """Returns the seconds until a finish ends, None if that cannot be told; takes its progress."""
        now = time.monotonic()
        if self._finish_step is None or step < self._finish_step:
            self._finish_began = now, step  # The first of its steps, or the next individual's.
        self._finish_step = step
        began, first = self._finish_began
        return None if step <= first else (now - began) * (steps - step) / (step - first)


def share_done(progress: Progress) -> float | None:
    """Returns the share of the first limit that will be met, in [0, 1]; None if there is no limit to count to."""
    limits, state = progress.limits, progress.state
    pairs = (
        (limits.max_individuals, state.events),
        (limits.max_flops, state.total_flops),
        (limits.max_seconds, progress.session_seconds),
    )
    return max((min(1.0, told / limit) for limit, told in pairs if limit is not None), default=None)


def duration_text(seconds: float) -> str:
    """Returns a duration in its two largest units, such as "2 h 05 min"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def clock_text(seconds: float) -> str:
    """Returns a time since the beginning, such as 4:05 or 2:04:05."""
    whole = int(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole % 3600 // 60:{'02d' if hours else 'd'}}:{whole % 60:02d}"
