"""Print the runs in a folder."""

import re
from collections.abc import Sequence
from pathlib import Path

from jaxevo.cli.commands import ListCommand
from jaxevo.reports.overview import read_overview, run_folders
from jaxevo.reports.terminal import printable
from jaxevo.storage.workdir import check_path, shown

_HEADINGS = ("data set", "seed", "individuals", "best", "folder", "state")
_NUMBERS = ("seed", "individuals", "best")


def list_runs(command: ListCommand) -> int:
    """Prints a row for each run: where it is, what it evolves, how far it is. Returns 0."""
    folder = check_path(command.folder)
    if not folder.is_dir():
        raise ValueError(f"folder is {command.folder!r}, but must be a folder that holds runs")
    found = sorted(run_folders(folder), key=lambda path: _by_numbers(path.name))
    if not found:
        print(f"There is no run in {printable(shown(folder))}; begin one with: jaxevo run")
        return 0
    rows = [_HEADINGS, *map(_row, found)]
    # The sentence of a damaged run, in the last column, may be long.
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
    for row in rows:
        print("  ".join([*_aligned(row, widths), row[-1]]))
    return 0


def _row(path: Path) -> tuple[str, ...]:
    place = printable(shown(path))
    try:
        run = read_overview(path)
    except (ValueError, OSError) as error:
        return ("-", "-", "-", "-", place, f"damaged: {printable(str(error))}".replace("\n", " "))
    best = "-" if run.best is None else f"{run.best:.1%}"
    return (printable(run.dataset), str(run.seed), f"{run.individuals:,}", best, place, run.state)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        f"{text:>{width}}" if heading in _NUMBERS else f"{text:<{width}}"
        for text, heading, width in zip(row, _HEADINGS, widths, strict=False)
    ]


def _by_numbers(name: str) -> list[tuple[int, str]]:
    """Returns the order of a name in which seed2 comes before seed10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
