"""A short evolution: the real run, from its folder to its lanes, in a folder of its own and with a cold cache."""

import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from jaxevo.bench.timing import spread
from jaxevo.execution.placement import lane_devices, number_of_lanes
from jaxevo.session.progress import Progress, Watcher
from jaxevo.session.run import start_run
from jaxevo.settings import Execution, Limits, Settings

# The same for every machine, so that all evolve the same individuals.
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
    """What one short evolution took.

    Attributes:
        lanes: that trained.
        individuals: that were told.
        wall_seconds: from the start of the host loop, with data and lanes ready, to the last told event.
        compile_seconds: of the records of finished individuals.
        train_seconds: of these records: inheriting, training, evaluating, saving.
        individuals_per_hour: told events by `wall_seconds`.
        compile_share: of `compile_seconds + train_seconds`, in [0, 1].
        lane_idle_share: `1 - train_seconds / (lanes * wall_seconds)`, in [0, 1]: lanes waited for a birth, or for its
            compilation, which runs in a thread beside them. What was still in training when the last individual was
            told counts as idle too.
        host_cpu_microseconds_per_event: processor time of the host loop's thread, from the first event to the last:
            evolution, journal, snapshots and polls, but no waiting.
        host_cpu_microseconds_median: of single events, which leaves out the few that snapshot or clear up.
    """

    lanes: int
    individuals: int
    wall_seconds: float
    compile_seconds: float
    train_seconds: float
    individuals_per_hour: float
    compile_share: float
    lane_idle_share: float
    host_cpu_microseconds_per_event: float
    host_cpu_microseconds_median: float


class _Meter(Watcher):
    """Reads the host thread's processor time after every event."""

    def __init__(self) -> None:
        self.processor_seconds: list[float] = []
        self.last: Progress | None = None

    def progressed(self, progress: Progress) -> None:
        """Notes an event; what only tells that time has passed is left out."""
        if self.last is None or progress.session_events > self.last.session_events:
            self.processor_seconds.append(time.thread_time())
        self.last = progress


def evolve(individuals: int, lanes: int | None) -> Evolved:
    """Evolves so many individuals, from the fixed seed, in a temporary folder.

    Args:
        individuals: to tell, two at least.
        lanes: that train; None for as many as a run would have.
    """
    execution = Execution(lanes=lanes)
    used = number_of_lanes(execution, lane_devices(execution))
    meter = _Meter()
    with tempfile.TemporaryDirectory() as folder:
        start_run(Path(folder) / "run", SETTINGS, Limits(max_individuals=individuals), execution, meter)
    told = meter.last
    if told is None or told.session_events < individuals:
        raise RuntimeError("the evolution was stopped before its last individual")
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
        host_cpu_microseconds_per_event=1e6 * sum(events) / len(events),
        host_cpu_microseconds_median=1e6 * spread(events).median,
    )
