"""What the host does in a second: the real loop, evolution, journal and snapshots around a simulated trainer."""

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.benchmarks.apart import in_fresh_process, peak_memory
from experiments.benchmarks.scale.durations import Durations
from experiments.benchmarks.scale.executor import SimulatedExecutor
from experiments.benchmarks.scale.scenarios import manifest_of
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
"""Records handed over at once, at most: at 2,000 events a second, what finishes while the journal is forced out."""


@dataclass(frozen=True)
class Load:
    """What to measure.

    Attributes:
        settings: of the run.
        task: what evolution knows of the images.
        lanes: that are simulated.
        durations: of their trainings.
        sigma: of the noise on them.
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
    """What was measured, over all events after the first filling of the population.

    Attributes:
        fingerprint: of the run.
        idle_share: lane time spent waiting, in [0, 1].
        events_a_second: in real time, without what the simulated trainer took.
        host_microseconds: of processor time for an event, the trainer's and the snapshots' left out.
        writes_a_record: times that the journal was forced to disk.
        journal_bytes: for an individual.
        snapshot_bytes: for an individual of the population.
        snapshot_seconds: what the longest snapshot took.
        layers: of the living, on average.
        memory: bytes of the process, at its peak.
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
    """Measures in a process of its own, whose memory is that of the run."""
    return in_fresh_process(measure_here, load)


def measure_here(load: Load) -> Throughput:
    """Measures in this process; the memory is then all that this process ever took."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(load, Workdir(Path(folder)))


@dataclass
class _Meter:
    """Readings at one moment."""

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
    """Counts records and how often they are forced to disk, and takes the time of every snapshot."""

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
    run = StoredRun(workdir, manifest_of(load.settings, load.task, limits))
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
            """Waits until the population is complete."""

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
