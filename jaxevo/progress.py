"""What a user sees while a run evolves: one live line in a terminal, plain lines elsewhere."""

import collections
import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.text import Text

from jaxevo.loop import Progress, Watcher

_LINE_SECONDS = 5.0
_RATE_SECONDS = 60.0


class _ProgressLine:
    """Makes a line of progress, with a rate over the last minute for the time left."""

    def __init__(self) -> None:
        self._events: collections.deque[tuple[float, int]] = collections.deque()

    def text(self, progress: Progress) -> str:
        state = progress.state
        limit = progress.limits.max_individuals
        parts = [f"{state.events}{'' if limit is None else f' of {limit}'} individuals"]
        if state.best is not None:
            parts.append(f"best validation accuracy {state.best.fitness:.1%}")
        parts.append(f"{progress.individuals_per_hour:,.0f} an hour")
        parts.append(f"compiling {progress.compile_share:.0%}")
        left = self._seconds_left(progress)
        if left is not None:
            parts.append(f"{int(left) // 60}:{int(left) % 60:02d} left")
        return ", ".join(parts)

    def _seconds_left(self, progress: Progress) -> float | None:
        now = progress.session_seconds
        self._events.append((now, progress.session_events))
        while now - self._events[0][0] > _RATE_SECONDS:
            self._events.popleft()
        (began, first), limits = self._events[0], progress.limits
        rate = (progress.session_events - first) / (now - began) if now > began else 0.0
        left = []
        if limits.max_individuals is not None and rate > 0:
            left.append(max(0, limits.max_individuals - progress.state.events) / rate)
        if limits.max_seconds is not None:
            left.append(max(0.0, limits.max_seconds - now))
        return min(left, default=None)


class _Terminal(Watcher):
    def __init__(self, live: Live) -> None:
        self._line = _ProgressLine()
        self._live = live

    def notice(self, text: str) -> None:
        self._live.console.print(text, style="yellow")

    def progressed(self, progress: Progress) -> None:
        self._live.update(Text(self._line.text(progress)))


class _Lines(Watcher):
    def __init__(self, console: Console) -> None:
        self._line = _ProgressLine()
        self._console = console
        self._last = -_LINE_SECONDS

    def notice(self, text: str) -> None:
        self._print(text)

    def progressed(self, progress: Progress) -> None:
        if time.monotonic() - self._last >= _LINE_SECONDS:
            self._last = time.monotonic()
            self._print(self._line.text(progress))

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)


@contextlib.contextmanager
def watch() -> Iterator[Watcher]:
    """Shows a run's progress on standard output for as long as it lasts."""
    console = Console()
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield _Terminal(live)
