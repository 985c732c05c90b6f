"""The work folder of a run: where things lie, who may write, and the manifest that says what the run is."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxevo.settings import Execution, Limits, Settings, settings_from_json
from jaxevo.storage.durable import force

FORMAT = 4
"""The format of a work folder; a folder of another format is refused."""

_WEIGHTS_NAME = re.compile(r"(\d{6,})-(\d+)")
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


# What the system says where something cannot be written, and what helps.
_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "see to its permissions",
}


class WorkdirError(ValueError):
    """A work folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Workdir:
    """The paths of a run."""

    path: Path

    @property
    def manifest(self) -> Path:
        """Settings, versions, device and data of the run."""
        return self.path / "manifest.json"

    @property
    def journal(self) -> Path:
        """Every finished individual."""
        return self.path / "journal.jsonl"

    @property
    def snapshots(self) -> Path:
        """The last evolution states."""
        return self.path / "snapshots"

    @property
    def weights(self) -> Path:
        """Trained weights, one folder an attempt."""
        return self.path / "weights"

    @property
    def training(self) -> Path:
        """What long trainings that have not finished have come to."""
        return self.path / "training"

    @property
    def result(self) -> Path:
        """The summary of the finished run."""
        return self.path / "result.json"


@dataclass(frozen=True)
class Manifest:
    """What a run is, written once.

    Attributes:
        settings: all that shapes the result.
        limits: where the run was to end when it began.
        data_fingerprint: sha256 of images, labels and class names.
        image_shape: height, width, channels.
        class_names: of the classes, by label.
        mean: of the training pixels in [0, 1], by channel; networks see normalised images.
        deviation: their standard deviation, by channel.
        validation_images: images in the validation split.
        machine: what else may shape the last bits: versions, device kind, instruction sets, flags.
        order: where this run replays another, the individuals in the order in which that one told them.
    """

    settings: Settings
    limits: Limits
    data_fingerprint: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    validation_images: int
    machine: dict[str, str]
    order: tuple[int, ...] = ()


def weights_name(birth_id: int, attempt: int) -> str:
    """Returns the name of the weights that an attempt at a birth leaves."""
    return f"{birth_id:06d}-{attempt}"


def attempted(name: str) -> tuple[int, int] | None:
    """Returns the birth and the number of the attempt that weights are of, None where the name is no weights'."""
    found = _WEIGHTS_NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def weight_names(folder: Path) -> list[str]:
    """Returns the names of all weights in a folder, whole or not, sorted."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def software_versions() -> dict[str, str]:
    """Returns the versions of the packages that shape a result."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def check_path(text: str) -> Path:
    """Returns a work folder's path; raises `WorkdirError` for what is no path of a POSIX file system."""
    if "://" in text:
        raise WorkdirError(
            f"workdir is {text!r}, but must be a folder of a POSIX file system (a local or mounted one): the lock and "
            "the durable journal need it"
        )
    return Path(text)


def check_new(path: Path) -> None:
    """Raises `WorkdirError` where a new run cannot be put into a folder."""
    if (path / "manifest.json").exists():
        raise WorkdirError(
            f"workdir {path} holds a run already: go on with it by 'jaxevo resume {path}', or choose another folder"
        )
    if path.exists() and not path.is_dir():
        raise WorkdirError(f"workdir {path} is a file, but must be a folder: choose another path")
    # What a run that was killed before it began may have left does not count.
    if path.exists() and {child.name for child in path.iterdir()} - {"lock", "manifest.tmp"}:
        raise WorkdirError(f"workdir {path} exists and is not empty, but holds no run: choose another folder")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the work folder for one writer.

    Raises:
        WorkdirError: if another process holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkdirError(
            f"workdir {path} cannot be written ({error.strerror}): see to that, or choose another folder"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkdirError(
                f"workdir {path} is in use by another process: wait for it, stop it, or choose another folder"
            ) from error
        with writing_explained(path):
            yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing_explained(path: Path) -> Iterator[None]:
    """Says what to do where a run cannot be written on: its disk is full, or became read-only.

    Orbax and TensorStore raise errors of several kinds then; the system's own words are in all of them.

    Raises:
        WorkdirError: in place of such an error.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        for number, remedy in _REMEDIES.items():
            words = os.strerror(number)
            if words in str(error):
                begun = (path / "manifest.json").exists()
                then = f"and go on with 'jaxevo resume {path}'" if begun else "or choose another folder"
                raise WorkdirError(
                    f"workdir {path} cannot be written ({words}): {remedy}, {then}. What had finished is kept"
                ) from error
        raise


def write_manifest(workdir: Workdir, manifest: Manifest) -> None:
    """Writes the manifest of a new run, in one rename."""
    write_json(workdir.manifest, {"format": FORMAT, **dataclasses.asdict(manifest)})
    force(workdir.path.absolute().parent)  # The run's folder may be as new.


def read_manifest(workdir: Workdir) -> Manifest:
    """Returns the manifest.

    Raises:
        WorkdirError: if there is none, it is damaged, or of another format.
    """
    path = workdir.manifest
    if not path.exists():
        raise WorkdirError(f"{workdir.path} holds no run (there is no {path.name}): check the path")
    try:
        fields = json.loads(path.read_text())
        found = fields.pop("format")
    except (ValueError, KeyError, AttributeError) as error:
        raise WorkdirError(f"{path} is damaged ({error}): restore it from a copy. Nothing was changed") from error
    if found != FORMAT:
        raise WorkdirError(
            f"{path} has format {found}, but this version of jaxevo reads format {FORMAT}: use the version that made "
            "the run. Nothing was changed"
        )
    try:
        settings = settings_from_json(fields.pop("settings"))
        limits = Limits(**fields.pop("limits"))
        # JSON knows no tuples.
        facts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return Manifest(settings=settings, limits=limits, **facts)
    except (ValueError, KeyError, TypeError) as error:
        raise WorkdirError(f"{path} is damaged ({error}): restore it from a copy. Nothing was changed") from error


def manifest_sha256(workdir: Workdir) -> str:
    """Returns the hash of the manifest, as it stands in its file."""
    return hashlib.sha256(workdir.manifest.read_bytes()).hexdigest()


def recorded_execution(manifest: Manifest) -> Execution:
    """Returns what trains one individual after the other with the bits that a run began with."""
    return Execution(lanes=1, devices_per_lane=int(manifest.machine["devices per lane"]))


def write_json(path: Path, fields: dict[str, Any]) -> None:
    """Writes a JSON file so that a reader finds either the old one or the whole new one."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(fields, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    force(path.absolute().parent)
