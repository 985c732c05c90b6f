"""Draw the figures of runs."""

from pathlib import Path

from jaxevo.cli.commands import FiguresCommand
from jaxevo.storage.workdir import check_path


def draw(command: FiguresCommand) -> int:
    """Writes the figures that the runs allow, and prints what was written or left out. Returns 0."""
    try:
        from jaxevo.reports.figures.files import write_figures
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ValueError(str(error)) from error
    paths = [check_path(path) for path in command.workdir]
    write_figures(paths, Path(command.out).expanduser(), command.clock, lambda sentence: print(sentence, flush=True))
    return 0
