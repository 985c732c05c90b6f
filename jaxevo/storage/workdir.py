"""The work folder of a run: its paths, its lock, and its manifest."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxevo.doors.opening import FOLDER, Door
from jaxevo.search.space import Task
from jaxevo.settings import Execution, Limits, Settings, settings_from_json
from jaxevo.storage.durable import force
from jaxevo.storage.machine import Machine, machine_from_json
from jaxevo.storage.warm_start import WarmStart, is_initial, warm_start_from_json

FORMAT = 5
"""The format of a work folder; a folder of another format is refused."""

_LOCK_TRIES, _LOCK_SECONDS = 10, 0.02
_WEIGHTS_NAME = re.compile(r"(\d{6,})-(\d+)")

# Remedies by the error code of a failed write.
_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "correct its permissions",
}


class WorkdirError(ValueError):
    """A work folder cannot be used; the message says why and what to do."""


class WorkdirInUseError(WorkdirError):
    """Another process writes to a work folder."""


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


@dataclass(frozen=True)
class Manifest:
    """The manifest of a run, written once at its start.

    Attributes:
        settings: settings, which determine the result.
        limits: limits of the first session.
        data_fingerprint: sha256 of images, labels and class names.
        image_shape: height, width, channels; empty, as all that follows from the data, if nothing is trained.
        class_names: names of the classes, by label.
        mean: mean of the training pixels scaled to [0, 1], by channel, to normalise images.
        deviation: standard deviation of the same, by channel.
        validation_images: number of images in the validation split.
        machine: machine that began the run, which may affect the last bits.
        dataset_beside: path of the data set from the work folder, by which it is found if both have moved; empty if the
            data set is no file or folder.
        label_values: the given integer of each class if these were not 0, 1, ...; empty otherwise.
        pixel_factor: by which the given pixels were multiplied.
        order: in a replay, the individuals in the order of events of the replayed run; empty otherwise.
        warm_start: source of the initial individuals; None if they are those of the space, with fresh weights.
        doors: doors from outside.
    """

    settings: Settings
    limits: Limits
    data_fingerprint: str
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    validation_images: int
    machine: Machine
    dataset_beside: str = ""
    label_values: tuple[int, ...] = ()
    pixel_factor: float = 1.0
    order: tuple[int, ...] = ()
    warm_start: WarmStart | None = None
    doors: tuple[Door, ...] = ()

    @property
    def trains(self) -> bool:
        """False if nothing is trained in the run's search space; the run then has no data set."""
        return bool(self.class_names)

    @property
    def task(self) -> Task:
        """The task of the run: image shape, classes and validation images."""
        return Task(self.image_shape, len(self.class_names), self.validation_images)


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


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks the work folder for one writer.

    Raises:
        WorkdirInUseError: if another process has locked the folder.
        WorkdirError: if it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkdirError(
            f"workdir {path} cannot be written ({error.strerror}): correct that, or choose another folder"
        ) from error
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            raise WorkdirInUseError(
                f"workdir {path} is in use by another process: wait for it, stop it, or choose another folder"
            ) from error
        with writing_explained(path):
            yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Locks a file; tries again for a moment, since whoever asks whether it is locked locks it for an instant."""
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOCK_SECONDS)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Returns True if a process writes to the work folder now."""
    try:
        descriptor = os.open(path / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def writing_explained(path: Path) -> Iterator[None]:
    """Explains why the work folder cannot be written, such as a full or read-only disk, and what to do.

    Orbax and TensorStore raise several types of errors; all of them contain the system's message.

    Raises:
        WorkdirError: in place of such an error.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if not _may_be_of(error, path):
            raise
        for number, remedy in _REMEDIES.items():
            words = os.strerror(number)
            if words in str(error):
                begun = (path / "manifest.json").exists()
                then = f"and resume with 'jaxevo resume {path}'" if begun else "or choose another folder"
                raise WorkdirError(
                    f"workdir {path} cannot be written ({words}): {remedy}, {then}. Finished individuals are kept"
                ) from error
        raise


def _may_be_of(error: Exception, path: Path) -> bool:
    """Returns False for an error that names a file outside of the folder, such as one of the data set."""
    name = getattr(error, "filename", None)
    return not isinstance(name, str | os.PathLike) or Path(name).absolute().is_relative_to(path.absolute())


def write_manifest(workdir: Workdir, manifest: Manifest) -> None:
    """Writes the manifest of a new run, atomically."""
    write_json(workdir.manifest, {"format": FORMAT, **dataclasses.asdict(manifest)})
    force(workdir.path.absolute().parent)  # The work folder may be new too.


def write_sources(workdir: Workdir, sources: Mapping[str, bytes]) -> None:
    """Writes the sources of doors from outside, by hash, durably before the manifest names them."""
    for sha256, source in sources.items():
        workdir.doors.mkdir(exist_ok=True)
        path = workdir.doors / f"{sha256}.py"
        path.write_bytes(source)
        force(path)
        force(workdir.doors)


def read_manifest(workdir: Workdir) -> Manifest:
    """Returns the manifest of a work folder.

    Raises:
        WorkdirError: if the manifest is missing, damaged, or of another format.
    """
    path = workdir.manifest
    if not path.exists():
        raise WorkdirError(f"{workdir.path} holds no run (there is no {path.name}): check the path")
    try:
        fields = json.loads(path.read_text())
        found = fields.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WorkdirError(f"{path} is damaged ({error}): restore it from a copy. Nothing was changed") from error
    if found != FORMAT:
        raise WorkdirError(
            f"{path} has format {found}, but this version of jaxevo reads format {FORMAT}: use the version that made "
            "the run. Nothing was changed"
        )
    try:
        settings = settings_from_json(fields.pop("settings"))
        limits = Limits(**fields.pop("limits"))
        machine = machine_from_json(fields.pop("machine"))
        warm_start = warm_start_from_json(fields.pop("warm_start"))
        doors = tuple(Door(**door) for door in fields.pop("doors"))
        # JSON has no tuples.
        facts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return Manifest(settings, limits, machine=machine, warm_start=warm_start, doors=doors, **facts)
    except (ValueError, KeyError, TypeError) as error:
        raise WorkdirError(f"{path} is damaged ({error}): restore it from a copy. Nothing was changed") from error


def manifest_sha256(workdir: Workdir) -> str:
    """Returns the sha256 of the manifest file."""
    return hashlib.sha256(workdir.manifest.read_bytes()).hexdigest()


def recorded_execution(manifest: Manifest) -> Execution:
    """Returns an execution that trains one individual at a time, bit for bit as the run did."""
    return Execution(lanes=1, devices_per_lane=manifest.machine.devices_per_lane)


def write_json(path: Path, content: dict[str, Any] | list[Any]) -> None:
    """Writes a JSON file atomically: a reader sees either the old file or the complete new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    force(path.absolute().parent)
