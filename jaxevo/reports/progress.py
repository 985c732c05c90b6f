"""Show the progress of a run: a live view in a terminal, plain lines elsewhere, and every new best individual."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from rich.console import Console

from jaxevo.reports.live import LiveView
from jaxevo.reports.pace import Pace, duration_text
from jaxevo.reports.telling import Bests, speed_text
from jaxevo.reports.terminal import printable
from jaxevo.session.progress import Progress, Watcher

_LINE_SECONDS = 5.0


class Lines(Watcher):
    """Prints plain lines, for logs: every new best individual, and how far the run is every five seconds."""

    def __init__(self) -> None:
        """Begins with a line at the first progress."""
        self._pace, self._bests = Pace(), Bests()
        self._last = -_LINE_SECONDS

    def notice(self, text: str) -> None:
        """Prints a sentence."""
        print(printable(text), flush=True)

    def announce(self, text: str) -> None:
        """Prints what begins."""
        print(printable(text), flush=True)

    def progressed(self, progress: Progress) -> None:
        """Prints a new best individual, and now and then how far the run is."""
        self._pace.note(progress)
        best = self._bests.line(progress)
        if best is not None:
            print(printable(best), flush=True)
        self._now_and_then(lambda: self._line(progress))

    def finishing(self, step: int, steps: int) -> None:
        """Prints now and then how far the finish is."""
        left = self._pace.finish_left(step, steps)
        then = "" if left is None else f", {duration_text(left)} left"
        self._now_and_then(lambda: f"training the best individual on: step {step}/{steps}{then}")

    def _line(self, progress: Progress) -> str:
        state, limit = progress.state, progress.limits.max_individuals
        parts = [f"{state.events}{'' if limit is None else f'/{limit}'} individuals"]
        left = self._pace.seconds_left(progress)
        if left is not None:
            parts.append(f"{duration_text(left)} left")
        if state.best is not None:
            parts.append(f"best validation {state.best.accuracy:.1%}")
        return ", ".join([*parts, speed_text(progress)])

    def _now_and_then(self, line: Callable[[], str]) -> None:
        if time.monotonic() - self._last >= _LINE_SECONDS:
            self._last = time.monotonic()
            print(line(), flush=True)


@contextlib.contextmanager
def watch() -> Iterator[Watcher]:
    """Shows a run's progress on standard output while the context is open."""
    console = Console()
    if not _can_overwrite(console):
        yield Lines()
        return
    view = LiveView(console)
    with view.live:
        yield view


def _can_overwrite(console: Console) -> bool:
    """Returns True for a terminal whose lines can be written over; what services for tests show is a log."""
    return console.is_interactive and console.file.isatty() and not os.environ.get("CI")
