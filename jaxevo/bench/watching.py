"""Show the progress of a benchmark: one live line in a terminal, plain lines elsewhere, and each table at once."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.status import Status

from jaxevo.bench.part import PARTS
from jaxevo.bench.report import print_sections, report_console

_PARTS = tuple(PARTS)


class _Report:
    """Prints tables and progress."""

    def __init__(self, console: Console, status: Status | None) -> None:
        self._console = console
        self._status = status
        self._began = time.monotonic()

    def said(self, part: str, text: str) -> None:
        seconds = int(time.monotonic() - self._began)
        place = f"{_PARTS.index(part) + 1}/{len(_PARTS)}"
        line = f"{seconds // 60}:{seconds % 60:02d}  {place} {part}: {text}"
        if self._status is None:
            print(line, flush=True)
        else:
            self._status.update(line)

    def measured(self, part: str, document: dict[str, Any]) -> None:
        print_sections(self._console, part, document)


@contextlib.contextmanager
def watch() -> Iterator[_Report]:
    """Shows progress and tables on standard output while the context is open."""
    console = report_console()
    if not console.is_terminal:
        yield _Report(console, None)
        return
    with console.status("starting") as status:
        yield _Report(console, status)
