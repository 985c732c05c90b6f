"""The work folder of a run: its paths, and which folders can be one."""

import re
from dataclasses import dataclass
from pathlib import Path

from jaxevo.doors.opening import FOLDER
from jaxevo.storage.warm_start import is_initial

_WEIGHTS_NAME = re.compile(r"(\d{6,})-(\d+)")


class WorkdirError(ValueError):
    """A work folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Workdir:
    """The paths in a work folder."""

    path: Path

    @property
    def manifest(self) -> Path:
        """The manifest: settings, limits, data and machine."""
        return self.path / "manifest.json"

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.path / "journal.jsonl"

    @property
    def snapshots(self) -> Path:
        """The last snapshots."""
        return self.path / "snapshots"

    @property
    def weights(self) -> Path:
        """Trained weights, one folder per attempt."""
        return self.path / "weights"

    @property
    def training(self) -> Path:
        """Checkpoints of unfinished trainings."""
        return self.path / "training"

    @property
    def finish(self) -> Path:
        """The finishes: the best individual, or the ensemble, trained on."""
        return self.path / "finish"

    @property
    def doors(self) -> Path:
        """Sources of doors from outside, by hash."""
        return self.path / FOLDER

    @property
    def data(self) -> Path:
        """The data set, if the run was given arrays."""
        return self.path / "data.npz"

    @property
    def result(self) -> Path:
        """The result of the stopped run."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The page that `report` writes by default."""
        return self.path / "report.html"


def weights_name(birth_id: int, attempt: int) -> str:
    """Returns the name of the weights of an attempt at a birth."""
    return f"{birth_id:06d}-{attempt}"


def attempted(name: str) -> tuple[int, int] | None:
    """Returns the birth id and attempt number in the name of weights, None if it is no such name."""
    found = _WEIGHTS_NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def weight_names(folder: Path) -> list[str]:
    """Returns the sorted names of all weights in a folder, complete or not; names that are not ours are left out."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in names if attempted(name) or is_initial(name))


def check_path(text: str) -> Path:
    """Returns the absolute path of a work folder; raises `WorkdirError` unless it is one of a POSIX file system."""
    if "://" in text:
        raise WorkdirError(
            f"workdir is {text!r}, but must be a folder of a POSIX file system, local or mounted: the lock and the "
            "durable journal need it"
        )
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise WorkdirError(f"workdir is {text!r}, the home of an unknown user: give a full path") from error


def shown(path: Path) -> str:
    """Returns a path to print: from the present folder if it lies below it, else as it is."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def check_new(path: Path) -> None:
    """Raises `WorkdirError` if a folder cannot take a new run."""
    if (path / "manifest.json").exists():
        raise WorkdirError(
            f"workdir {path} holds a run already: resume it with 'jaxevo resume {path}', or choose another folder"
        )
    if path.exists() and not path.is_dir():
        raise WorkdirError(f"workdir {path} is a file, but must be a folder: choose another path")
    present = {child.name for child in path.iterdir() if not _of_the_system(child.name)} if path.exists() else set()
    # A run that was killed before it began may have left these, and copies of weights for its initial individuals.
    left = {"lock", "data.npz", FOLDER} if "lock" in present else set()
    if (path / "weights").is_dir() and all(is_initial(child.name) for child in (path / "weights").iterdir()):
        left.add("weights")
    if present - left:
        raise WorkdirError(f"workdir {path} exists and is not empty, but holds no run: choose another folder")


def _of_the_system(name: str) -> bool:
    """Returns True for the names that desktops, editors and sync tools leave in any folder."""
    return name.startswith(".") or name.endswith("~") or name.lower() in {"thumbs.db", "desktop.ini", "icon\r"}
