"""The manifest of a run: what determines its result, and what was found when it began."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxevo.doors.opening import Door
from jaxevo.search.space import Task
from jaxevo.settings import Execution, Limits, Settings, settings_from_json
from jaxevo.storage.durable import force, write_json
from jaxevo.storage.machine import Machine, machine_from_json
from jaxevo.storage.warm_start import WarmStart, warm_start_from_json
from jaxevo.storage.workdir import Workdir, WorkdirError

FORMAT = 6
"""The format of a work folder; a folder of another format is refused."""


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
        order: in the replay of a run in wall-clock order, the individuals in its order of events; empty otherwise.
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
