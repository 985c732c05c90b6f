"""Show the progress of a run: one live line in a terminal, plain lines elsewhere, and every new best individual."""

import collections
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live
from rich.text import Text

from jaxevo.reports.terminal import printable
from jaxevo.search.population import Individual
from jaxevo.session.progress import Progress, Watcher

_LINE_SECONDS = 5.0
_RATE_SECONDS = 60.0
_FACTS = 3
"""Number of facts about the genotype of a new best individual."""


class _Report:
    """Formats progress; estimates the time left from the rate of the last minute."""

    def __init__(self) -> None:
        self._told: collections.deque[tuple[float, int, int]] = collections.deque()
        self._best: Individual | None = None
        self._finish_began: tuple[float, int] | None = None

    def line(self, progress: Progress) -> str:
        state, limit = progress.state, progress.limits.max_individuals
        parts = [f"{state.events}{'' if limit is None else f'/{limit}'} individuals"]
        # The most important comes first, because a narrow terminal truncates the line.
        left = self._seconds_left(progress)
        if left is not None:
            parts.append(f"{_clock(left)} left")
        if state.best is not None:
            parts.append(f"best validation {state.best.accuracy:.1%}")
        parts.append(f"{progress.individuals_per_hour:,.0f}/hour")
        parts.append(f"compiling {progress.compile_share:.0%}")
        return ", ".join(parts)

    def finishing(self, step: int, steps: int) -> str:
        now = time.monotonic()
        began, first = self._finish_began = self._finish_began or (now, step)
        left = "" if step == first else f", {_clock((now - began) * (steps - step) / (step - first))} left"
        return f"training the best individual on: step {step}/{steps}{left}"

    def new_best(self, progress: Progress) -> str | None:
        """Returns a line about the best individual if it is new."""
        best = progress.state.best
        if best is None or best == self._best:
            return None
        self._best = best
        summary = progress.space.summary(best.genotype, progress.task)
        facts = [f"{name.replace('_', ' ')} {value}" for name, value in itertools.islice(summary.items(), _FACTS)]
        made = f"child of {best.parent_id} by {best.mutation}" if best.mutation is not None else "initial"
        return (
            f"{_clock(progress.session_seconds):>6}  individual {best.id}: {best.accuracy:.1%}, "
            f"{', '.join(facts)}, {made}"
        )

    def _seconds_left(self, progress: Progress) -> float | None:
        now = progress.session_seconds
        state, limits = progress.state, progress.limits
        self._told.append((now, state.events, state.total_flops))
        while now - self._told[0][0] > _RATE_SECONDS:
            self._told.popleft()
        began, *first = self._told[0]
        left = []
        for limit, told, before in zip(
            (limits.max_individuals, limits.max_flops), (state.events, state.total_flops), first, strict=True
        ):
            if limit is not None and told > before:
                left.append(max(0.0, limit - told) * (now - began) / (told - before))
        if limits.max_seconds is not None:
            left.append(max(0.0, limits.max_seconds - now))
        return min(left, default=None)


class _Terminal(Watcher):
    def __init__(self, live: Live) -> None:
        self._report = _Report()
        self._live = live

    def notice(self, text: str) -> None:
        self._live.console.print(Text(printable(text)), style="yellow")

    def progressed(self, progress: Progress) -> None:
        best = self._report.new_best(progress)
        if best is not None:
            self._live.console.print(Text(printable(best)))
        self._update(self._report.line(progress))

    def finishing(self, step: int, steps: int) -> None:
        self._update(self._report.finishing(step, steps))

    def _update(self, line: str) -> None:
        self._live.update(Text(line, overflow="ellipsis", no_wrap=True))


class _Lines(Watcher):
    def __init__(self) -> None:
        self._report = _Report()
        self._last = -_LINE_SECONDS

    def notice(self, text: str) -> None:
        print(printable(text), flush=True)

    def progressed(self, progress: Progress) -> None:
        best = self._report.new_best(progress)
        if best is not None:
            print(printable(best), flush=True)
        self._now_and_then(lambda: self._report.line(progress))

    def finishing(self, step: int, steps: int) -> None:
        self._now_and_then(lambda: self._report.finishing(step, steps))

    def _now_and_then(self, line: Callable[[], str]) -> None:
        if time.monotonic() - self._last >= _LINE_SECONDS:
            self._last = time.monotonic()
            print(line(), flush=True)


@contextlib.contextmanager
def watch() -> Iterator[Watcher]:
    """Shows a run's progress on standard output while the context is open."""
    console = Console()
    if not console.is_terminal:
        yield _Lines()
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield _Terminal(live)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
