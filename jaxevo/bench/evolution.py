"""Measure a short evolution: a complete run, in a temporary folder and with a cold cache."""

import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from jaxevo.bench.timing import spread
from jaxevo.bench.waiting import Interval, intervals_of, waiting_seconds
from jaxevo.execution.placement import lane_devices, number_of_lanes
from jaxevo.networks.programs import MADE
from jaxevo.session.progress import Progress, Watcher
from jaxevo.session.run import start_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.journal import read_journal
from jaxevo.storage.workdir import Workdir

# Fixed, so that all machines evolve the same individuals.
SETTINGS = Settings(
    dataset="digits",
    seed=0,
    population_size=32,
    num_workers=16,
    selection="aging",
    sample_size=5,
    train_steps=300,
)


@dataclass(frozen=True)
class Evolved:
    """The measurements of one short evolution.

    Attributes:
        lanes: number of lanes.
        individuals: number of events.
        wall_seconds: seconds from the start of the host loop, with data and lanes ready, to the last event.
        compile_seconds: total compile seconds in the records.
        train_seconds: total train seconds in the records: inheriting, training, evaluating, saving.
        individuals_per_hour: events per hour of `wall_seconds`.
        compile_share: `compile_seconds / (compile_seconds + train_seconds)`, in [0, 1].
        lane_idle_share: `1 - train_seconds / (lanes * wall_seconds)`, in [0, 1]. Idle lanes wait for a birth, or for
            its compilation in another thread. Trainings that had not finished at the last event count as idle too.
        compile_wait_share: share of `wall_seconds` in which no lane trains and at least one architecture is being
            compiled, in [0, 1]: the device waits for compiling. With several devices, all of them do. Trainings that
            had not finished at the last event do not count.
        host_cpu_microseconds_per_event: mean processor time of the host loop's thread from the first event to the last:
            evolution, journal, snapshots and polls, without waiting.
        host_cpu_microseconds_median: median over single events, without the few that save snapshots or remove weights.
    """

    lanes: int
    individuals: int
    wall_seconds: float
    compile_seconds: float
    train_seconds: float
    individuals_per_hour: float
    compile_share: float
    lane_idle_share: float
    compile_wait_share: float
    host_cpu_microseconds_per_event: float
    host_cpu_microseconds_median: float


class _Meter(Watcher):
    """Reads the clock and the host thread's processor time after every event."""

    def __init__(self) -> None:
        self.processor_seconds: list[float] = []
        self.last: Progress | None = None
        self.last_event = 0.0

    def progressed(self, progress: Progress) -> None:
        """Records the times of a new event; ignores calls between events."""
        if self.last is None or progress.session_events > self.last.session_events:
            self.processor_seconds.append(time.thread_time())
            self.last_event = time.time()
        self.last = progress


def evolve(individuals: int, lanes: int | None) -> Evolved:
    """Evolves individuals from the fixed seed in a temporary folder.

    Args:
        individuals: number of events, 2 or more.
        lanes: number of lanes; None for the default of a run.
    """
    execution = Execution(lanes=lanes)
    used = number_of_lanes(execution, lane_devices(execution))
    meter = _Meter()
    with tempfile.TemporaryDirectory() as folder, intervals_of(MADE) as compiled:
        workdir = Workdir(Path(folder) / "run")
        start_run(workdir.path, SETTINGS, Limits(max_individuals=individuals), execution, meter)
        records = read_journal(workdir.journal).records.values()
    trained = [Interval(record.finished - record.train_seconds, record.finished) for record in records]
    told = meter.last
    if told is None or told.session_events < individuals:
        raise RuntimeError("the evolution was stopped before its last individual")
    whole = Interval(meter.last_event - told.session_seconds, meter.last_event)
    events = [after - before for before, after in itertools.pairwise(meter.processor_seconds)]
    return Evolved(
        lanes=used,
        individuals=told.session_events,
        wall_seconds=told.session_seconds,
        compile_seconds=told.compile_seconds,
        train_seconds=told.train_seconds,
        individuals_per_hour=told.individuals_per_hour,
        compile_share=told.compile_share,
        lane_idle_share=max(0.0, 1 - told.train_seconds / (used * told.session_seconds)),
        compile_wait_share=waiting_seconds(whole, trained, compiled) / told.session_seconds,
        host_cpu_microseconds_per_event=1e6 * sum(events) / len(events),
        host_cpu_microseconds_median=1e6 * spread(events).median,
    )
