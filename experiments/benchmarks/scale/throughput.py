"""Throughput of the host: the real loop, evolution, journal and snapshots around a simulated trainer."""

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.benchmarks.apart import in_fresh_process, peak_memory
from experiments.benchmarks.scale.durations import Durations
from experiments.benchmarks.scale.executor import SimulatedExecutor
from experiments.benchmarks.scale.scenarios import manifest_of
from jaxevo.doors.opening import built_in
from jaxevo.search.evolution import EvolutionState
from jaxevo.search.space import Task
from jaxevo.session.loop import HostLoop
from jaxevo.session.progress import Progress, Watcher
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.attempts import Attempts
from jaxevo.storage.journal import Entry, Record
from jaxevo.storage.stored_run import RunWriter, StoredRun
from jaxevo.storage.workdir import Workdir

_HANDED = 10
"""Most records handed over at once: about as many finish while the journal is forced to disk, at 2,000 a second."""


@dataclass(frozen=True)
class Load:
    """A load to measure.

    Attributes:
        settings: of the run.
        task: of the evolution.
        lanes: number of simulated lanes.
        durations: the model of training times.
        sigma: of the log-normal noise on them.
        events: to measure, after the first filling of the population.
    """

    settings: Settings
    task: Task
    lanes: int
    durations: Durations
    sigma: float
    events: int


@dataclass(frozen=True)
class Throughput:
    """Measurements over all events after the first filling of the population.

    Attributes:
        fingerprint: of the run.
        idle_share: share of lane time spent waiting, in [0, 1].
        events_a_second: in real time, without that of the simulation.
        host_microseconds: processor time of an event, without simulation and snapshots.
        writes_a_record: forced writes of the journal for each record.
        journal_bytes: bytes of the journal for each record.
        snapshot_bytes: bytes of a snapshot for each individual in it.
        snapshot_seconds: of the longest snapshot.
        layers: mean number of layers of the living.
        memory: peak of the process, in bytes.
    """

    fingerprint: str
    idle_share: float
    events_a_second: float
    host_microseconds: float
    writes_a_record: float
    journal_bytes: float
    snapshot_bytes: float
    snapshot_seconds: float
    layers: float
    memory: int


def measure(load: Load) -> Throughput:
    """Measures a load in a process of its own, so that its memory is that of the run."""
    return in_fresh_process(measure_here, load)


def measure_here(load: Load) -> Throughput:
    """Measures a load in this process; the memory is then the peak of all its work."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(load, Workdir(Path(folder)))


@dataclass
class _Meter:
    """The readings at one moment."""

    wall: float
    processor: float
    trainer: float
    trainer_processor: float
    snapshots: float
    snapshots_processor: float
    writes: int
    records: int
    bytes: int
    now: float
    waited: float


class _MeteredWriter(RunWriter):
    """Counts records and forced writes, and times snapshots."""

    def __init__(self, run: StoredRun, events_a_snapshot: int) -> None:
        super().__init__(run, events_a_snapshot)
        self.writes = self.records = 0
        self.seconds = self.processor = self.longest = 0.0
        append = self.journal.append

        def counting(entries: Iterable[Entry]) -> None:
            written = list(entries)
            append(written)
            self.writes += 1
            self.records += sum(isinstance(entry, Record) for entry in written)

        self.journal.append = counting  # type: ignore[method-assign]

    def snapshot(self, state: EvolutionState) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        super().snapshot(state)
        taken = time.perf_counter() - wall
        self.seconds += taken
        self.longest = max(self.longest, taken)
        self.processor += time.process_time() - processor


def _measure(load: Load, workdir: Workdir) -> Throughput:
    size = load.settings.population_size
    limits = Limits(max_individuals=size + load.events)
    run = StoredRun(workdir, manifest_of(load.settings, load.task, limits), built_in(load.settings))
    with _MeteredWriter(run, Execution().events_a_snapshot(size)) as writer:
        executor = SimulatedExecutor(
            load.lanes,
            load.durations,
            load.sigma,
            handed=max(1, min(_HANDED, load.lanes // 10)),
            begin=Attempts(writer.journal, run.content, 1, max_deaths=5).begin,
        )

        def read() -> _Meter:
            return _Meter(
                time.perf_counter(),
                time.process_time(),
                executor.spent,
                executor.processor_spent,
                writer.seconds,
                writer.processor,
                writer.writes,
                writer.records,
                workdir.journal.stat().st_size,
                executor.now,
                executor.waited,
            )

        opened: list[_Meter] = []

        class Filled(Watcher):
            """Takes the first reading when the population is complete."""

            def progressed(self, progress: Progress) -> None:
                if not opened and progress.state.events == size:
                    opened.append(read())

        loop = HostLoop(run, limits, writer, executor, Filled())
        loop.until_stopped(lambda: False)
        closed = read()
        writer.snapshot(loop.progress().state)
    state = loop.progress().state
    (start,) = opened
    events = load.events
    trainer = closed.trainer - start.trainer
    records = closed.records - start.records
    host = closed.processor - start.processor
    host -= closed.trainer_processor - start.trainer_processor
    host -= closed.snapshots_processor - start.snapshots_processor
    held = len(state.population) + len(state.in_flight)
    stored = sum(path.stat().st_size for path in (workdir.snapshots / str(state.events)).rglob("*") if path.is_file())
    return Throughput(
        fingerprint=state.fingerprint,
        idle_share=(closed.waited - start.waited) / (load.lanes * (closed.now - start.now)),
        events_a_second=events / (closed.wall - start.wall - trainer),
        host_microseconds=1e6 * host / events,
        writes_a_record=(closed.writes - start.writes) / records,
        journal_bytes=(closed.bytes - start.bytes) / records,
        snapshot_bytes=stored / held,
        snapshot_seconds=writer.longest,
        layers=sum(len(individual.genotype.layers) for individual in state.population) / len(state.population),
        memory=peak_memory(),
    )
