"""The live view of a run in a terminal: how far it is, the population at a glance, and the best network."""

import statistics
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from jaxevo.reports.pace import Pace, duration_text, share_done
from jaxevo.reports.telling import Bests, speed_text
from jaxevo.reports.terminal import printable
from jaxevo.search.population import Individual
from jaxevo.search.space import Drawing
from jaxevo.session.progress import Progress, Watcher

_SECONDS = 0.5
"""Seconds between two updates. One takes the host loop 1.2 ms of processor time, with a population of 1,000 2.2 ms."""
_BINS = 16
_BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_ASCII_BLOCKS = " .:-=+*#@"
_BAR_WIDTH = 40


class LiveView(Watcher):
    """Shows progress in a few lines that are written over, and what is worth keeping above them."""

    def __init__(self, console: Console) -> None:
        """Makes a view; `open` it as a context."""
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self._console = console
        self._pace, self._bests = Pace(), Bests()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=None, left="")
        self._progress: Progress | None = None
        self._finish: tuple[int, int] | None = None
        self._architecture: tuple[Individual | None, str] = (None, "")
        self._due = 0.0

    def notice(self, text: str) -> None:
        """Prints a sentence above the view."""
        self.live.console.print(Text(printable(text)), style="yellow")

    def announce(self, text: str) -> None:
        """Prints what begins above the view."""
        self.live.console.print(Text(printable(text)))

    def progressed(self, progress: Progress) -> None:
        """Takes the progress; prints a new best individual at once, and updates the view now and then."""
        self._progress = progress
        self._pace.note(progress)
        best = self._bests.line(progress)
        if best is not None:
            self.live.console.print(Text(printable(best)))
        self._now_and_then()

    def finishing(self, step: int, steps: int) -> None:
        """Takes the progress of the finish."""
        self._finish = (step, steps)
        self._now_and_then()

    def refresh(self) -> None:
        """Updates the view."""
        self._due = time.monotonic() + _SECONDS
        rows = self._rows()
        if rows:
            # A terminal echoes Ctrl-C as two characters, which must not begin a new line.
            self.live.update(Constrain(Group(*rows), max(1, self._console.width - 3)), refresh=True)

    def _now_and_then(self) -> None:
        if time.monotonic() >= self._due:
            self.refresh()

    def _rows(self) -> list[RenderableType]:
        progress = self._progress
        self._set_bar(progress)
        if progress is None:
            return [self._bar] if self._finish is not None else []
        limit = progress.limits.max_individuals
        count = f"{progress.state.events:,}{'' if limit is None else f'/{limit:,}'} individuals"
        # In a finish one lane trains.
        speed = "" if self._finish is not None else f", {speed_text(progress)}"
        rows: list[RenderableType] = [self._bar, _row(f"{count}{speed}")]
        told = [one.accuracy for one in progress.state.population if one.failure is None]
        if told:
            rows.append(_row(f"population {len(progress.state.population):,}: {self._histogram(told)}"))
        best = progress.state.best
        if best is not None:
            rows.append(
                _row(f"best {best.accuracy:.1%}, individual {best.id}: {self._architecture_of(best, progress)}")
            )
        return rows

    def _set_bar(self, progress: Progress | None) -> None:
        left: float | None = None
        share: float | None = None
        about = "evolving"
        if self._finish is not None:
            step, steps = self._finish
            about, share = f"training the best one on, step {step:,}/{steps:,}", step / steps
            left = self._pace.finish_left(step, steps)
        elif progress is not None:
            left, share = self._pace.seconds_left(progress), share_done(progress)
        words = "" if left is None else f"{duration_text(left)} left"
        total = None if share is None else 1.0
        self._bar.update(self._task, description=about, total=total, completed=share or 0.0, left=words)

    def _histogram(self, accuracies: Sequence[float]) -> str:
        """Returns the lowest accuracy, bars for all from there, the highest, and the median."""
        blocks = _ASCII_BLOCKS if self._console.options.ascii_only else _BLOCKS
        bars = histogram_text(accuracies, blocks)
        median = statistics.median(accuracies)
        return f"{min(accuracies):.1%} {bars} {max(accuracies):.1%}, median {median:.1%}"

    def _architecture_of(self, best: Individual, progress: Progress) -> str:
        if self._architecture[0] != best:
            drawing = progress.space.drawing(best.genotype, progress.task)
            self._architecture = (best, printable(architecture_text(drawing)))
        return self._architecture[1]


def histogram_text(values: Sequence[float], blocks: str = _BLOCKS) -> str:
    """Returns bars, one character each: how many of the values lie in equal parts from the least to the largest.

    Args:
        values: one or more numbers.
        blocks: characters by height, that of nothing first.
    """
    least, largest = min(values), max(values)
    counts = [0] * _BINS
    for value in values:
        share = (value - least) / (largest - least) if largest > least else 0.5
        counts[min(int(share * _BINS), _BINS - 1)] += 1
    high = max(counts)
    # The fewest are still seen.
    return "".join(blocks[-(-count * (len(blocks) - 1) // high)] for count in counts)


def architecture_text(drawing: Drawing) -> str:
    """Returns a network in one line: each box after the first by its label and the shape of its output."""
    boxes = [f"{box.label or box.title} {'x'.join(map(str, box.shape))}" for box in drawing.boxes[1:]]
    skips = sum(target > source + 1 for source, target in drawing.edges)
    return " > ".join(boxes) + (f", {skips} skip{'s' if skips > 1 else ''}" if skips else "")


def _row(text: str) -> Text:
    return Text(text, overflow="ellipsis", no_wrap=True)
