"""An executor that trains nothing, for tests of the host loop: outcomes are made up, and may come out of order."""

import hashlib

from jaxevo.doors.opening import built_in
from jaxevo.search.births import Outcome
from jaxevo.search.space import Task
from jaxevo.storage.checkpoint import load_latest_snapshot
from jaxevo.storage.journal import Record, read_journal
from jaxevo.storage.machine import Machine
from jaxevo.storage.manifest import Manifest
from jaxevo.storage.stored_run import StoredRun
from jaxevo.storage.workdir import Workdir, weights_name

TASK = Task(input_shape=(8, 8, 1), num_classes=10, validation_images=143)


class Simulated:
    """Lanes whose trainings take a number of polls that depends on the birth alone."""

    def __init__(self, lanes):
        self.lanes = lanes
        self.waiting = []
        self.running = []  # (polls that are left, birth)

    def submit(self, births):
        self.waiting = sorted((*self.waiting, *births), key=lambda birth: (birth.due, birth.id))
        self._begin()

    def finished(self, timeout):
        self.running = [(polls - 1, birth) for polls, birth in self.running]
        done = [birth for polls, birth in self.running if polls == 0]
        self.running = [(polls, birth) for polls, birth in self.running if polls > 0]
        self._begin()
        return [self.record(birth) for birth in done]

    def close(self):
        return []

    def record(self, birth):
        number = _number(birth)
        outcome = Outcome(birth.id, number % 1000 / 1000, weights_name(birth.id, 1), f"{number:016x}")
        return Record(outcome, 0.5, 0.0, 1.0, 0.0, 1, 1)

    def _begin(self):
        while self.waiting and len(self.running) < self.lanes:
            birth = self.waiting.pop(0)
            self.running.append((1 + _number(birth) % 5, birth))


def manifest_of(settings, limits):
    """Returns the manifest of a run of `TASK`, on no images."""
    classes = tuple(map(str, range(TASK.num_classes)))
    machine = Machine({}, "simulated", "simulated", "", 1, "", (), (), None)
    return Manifest(settings, limits, "", TASK.image_shape, classes, (0.5,), (0.5,), TASK.validation_images, machine)


def stored_run(folder, settings, limits):
    """Returns the run in a folder as earlier sessions left it; a new one if there were none."""
    folder.mkdir(exist_ok=True)
    workdir, manifest, doors = Workdir(folder), manifest_of(settings, limits), built_in(settings)
    state = load_latest_snapshot(workdir.snapshots, manifest, doors.space)
    return StoredRun(workdir, manifest, doors, read_journal(workdir.journal), state)


def _number(birth):
    return int.from_bytes(hashlib.sha256(f"{birth.id} {birth.genotype_sha256}".encode()).digest()[:8])
