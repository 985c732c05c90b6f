"""Whole runs in work folders whose trainings are simulated, for tests of what reads runs."""

import dataclasses
from pathlib import Path

from helpers.simulated import Simulated, manifest_of
from jaxevo.doors.opening import built_in
from jaxevo.search.births import Outcome
from jaxevo.session.loop import HostLoop
from jaxevo.session.progress import Watcher
from jaxevo.settings import Limits, Settings
from jaxevo.storage.attempts import Attempts
from jaxevo.storage.journal import Start, Stop
from jaxevo.storage.manifest import manifest_sha256, write_manifest
from jaxevo.storage.stored_run import RunWriter, StoredRun
from jaxevo.storage.workdir import Workdir

SETTINGS = Settings(population_size=10, num_workers=4, train_steps=6, selection="aging", sample_size=3, seed=5)
FAILURE = "the loss is not a finite number"


class _Lanes(Simulated):
    """Lanes on a clock of their own; every eleventh training fails."""

    def __init__(self, lanes, begin):
        super().__init__(lanes)
        self.begin_attempts = begin

    def submit(self, births):
        self.begin_attempts(births)
        super().submit(births)

    def record(self, birth):
        record = super().record(birth)
        record = dataclasses.replace(
            record,
            test_accuracy=record.outcome.accuracy / 2,
            finished=1000.0 + birth.id,
            train_seconds=1.5,
            compile_seconds=0.25 * (birth.id % 3 == 0),
        )
        if birth.id % 11 != 10:
            return record
        failed = Outcome(birth.id, 0.0, None, None, failure=FAILURE)
        return dataclasses.replace(record, outcome=failed, test_accuracy=None)


def simulated_run(
    path: Path, events: int = 60, stopped: bool = True, watcher: Watcher | None = None, **changes: object
) -> Path:
    """Writes a run of simulated trainings on two lanes and returns its folder."""
    path.mkdir(parents=True)
    workdir, limits = Workdir(path), Limits(max_individuals=events)
    manifest = manifest_of(dataclasses.replace(SETTINGS, **changes), limits)
    write_manifest(workdir, manifest)
    run = StoredRun(workdir, manifest, built_in(manifest.settings))
    with RunWriter(run, 50) as writer:
        writer.journal.append([Start(1, 1000.0, limits, manifest_sha256(workdir), manifest.machine)])
        lanes = _Lanes(2, Attempts(writer.journal, run.content, 1, max_deaths=5).begin)
        loop = HostLoop(run, limits, writer, lanes, watcher or Watcher())
        reason = loop.until_stopped(lambda: False)
        state = loop.progress().state
        if stopped:
            writer.journal.append([Stop(1, state.events, reason, state.fingerprint, 80.0)])
    return path
