"""Write pages from work folders: that of several runs, and that of a run again and again while it goes on."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jaxevo.reports.page.assemble import write_page
from jaxevo.reports.page.comparison import compare, comparison_page
from jaxevo.reports.page.story import RELOAD_SECONDS, page, story
from jaxevo.storage.history import History
from jaxevo.storage.lock import is_locked
from jaxevo.storage.workdir import Workdir

_NOTE = "This is left out while the run goes on."


def watch_run(path: Path, file: Path, wrote: Callable[[int], None]) -> None:
    """Writes the page of a run every few seconds until its session ends, or until a signal arrives.

    The open page reloads itself; the last one written does not.

    Args:
        path: the work folder.
        file: the file to write, each time in one step.
        wrote: called with the number of events after each time.

    Raises:
        ValueError: if there is no run or the file cannot be written.
        KeyboardInterrupt: if a signal arrived.
    """
    data: dict[str, Any] = {}
    try:
        while True:
            began = time.monotonic()
            # A killed session leaves no end in the journal.
            goes_on = is_locked(path)
            history = History(Workdir(path))
            data = story(history, None, _NOTE, live=True)
            ended = history.journal.stopped is not None or not goes_on
            write_page(file, page(data | {"live": not ended}))
            wrote(history.state.events)
            if ended:
                return
            took = time.monotonic() - began
            # A long run takes long to read: leave the processor to the run half of the time.
            time.sleep(max(RELOAD_SECONDS - took, took))
    except KeyboardInterrupt:
        if data:
            write_page(file, page(data | {"live": False}))
        raise


def compare_runs(paths: Iterable[Path], file: Path) -> None:
    """Writes the page that compares runs, named by their folders.

    Raises:
        ValueError: if a folder holds no run, the runs cannot be compared, or the file cannot be written.
    """
    runs: dict[str, History] = {}
    for folder in dict.fromkeys(path.resolve() for path in paths):
        # Folders of one name are told apart by those above them.
        parts = 1
        while (name := "/".join(folder.parts[-parts:])) in runs:
            parts += 1
        runs[name] = History(Workdir(folder))
    write_page(file, comparison_page(compare(runs)))
