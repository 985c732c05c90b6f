"""Compares numbers of lanes: the demo's time, how busy the cores are, and how long lanes wait for compilation.

    python -m experiments.benchmarks.lanes
    python -m experiments.benchmarks.lanes --lanes 1 2 --individuals 20 --rounds 1

Runs the preset `demo` with each number of lanes in turn, each in a process of its own with an empty cache of
executables. Prints medians over the rounds, with the least and the most:

- seconds of the session, from the first birth to the last event;
- share of the cores that the process kept busy;
- share of lane time before a training's programs were compiled, waiting for another thread or compiling;
- peak memory of the process.

Expected: the default, a lane for each core, is as fast as any other number, and a lane with a core to spare hardly
waits. For results see docs/benchmarks.md.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.benchmarks.apart import in_fresh_process, peak_memory
from experiments.benchmarks.markdown import table
from experiments.entry import exit_with, prepare, program
from jaxevo.bench.timing import spread
from jaxevo.presets import PRESETS
from jaxevo.settings import Execution, Limits


@dataclass(frozen=True)
class Session:
    """Measurements of one session.

    Attributes:
        seconds: from the first birth to the last event.
        busy: share of the cores that the process used, in [0, 1].
        waited: share of lane time before programs were compiled, in [0, 1].
        memory: peak of the process, in MiB.
        fingerprint: of the run.
    """

    seconds: float
    busy: float
    waited: float
    memory: float
    fingerprint: str


def main(arguments: list[str] | None = None) -> int:
    """Measures every number of lanes and prints the table; returns 0."""
    cores = len(os.sched_getaffinity(0))
    parser = program("experiments.benchmarks.lanes", __doc__)
    parser.add_argument("--lanes", type=int, nargs="+", default=list(range(1, cores + 3)), help="default: to cores + 2")
    parser.add_argument("--individuals", type=int, default=30, help="default: 30, as in the demo")
    parser.add_argument("--rounds", type=int, default=2, help="default: 2")
    given = parser.parse_args(arguments)
    found: dict[int, list[Session]] = {lanes: [] for lanes in given.lanes}
    for number in range(given.rounds):
        for lanes in given.lanes:
            found[lanes].append(in_fresh_process(_session, lanes, given.individuals))
            print(f"round {number + 1}: {lanes} lanes, {found[lanes][-1].seconds:.0f} s", flush=True)
    if len({session.fingerprint for sessions in found.values() for session in sessions}) != 1:
        raise RuntimeError("the fingerprints differ, but the number of lanes must not shape a result")
    rows = [(str(lanes), *_cells(sessions)) for lanes, sessions in found.items()]
    print(table(("lanes", "seconds", "cores busy", "lanes without a program", "peak memory"), rows))
    return 0


def _cells(sessions: Sequence[Session]) -> tuple[str, ...]:
    seconds, busy, waited, memory = (
        spread([getattr(session, name) for session in sessions]) for name in ("seconds", "busy", "waited", "memory")
    )
    return (
        f"{seconds.median:.0f} ({seconds.min:.0f} to {seconds.max:.0f})",
        *(f"{share.median:.1%} ({share.min:.1%} to {share.max:.1%})" for share in (busy, waited)),
        f"{memory.median:,.0f} MiB ({memory.min:,.0f} to {memory.max:,.0f})",
    )


def _session(lanes: int, individuals: int) -> Session:
    """Runs the demo in this process and measures it."""
    execution = Execution(lanes)
    prepare(execution)
    from jaxevo.execution.lane import Lane
    from jaxevo.session.progress import Progress, Watcher
    from jaxevo.session.run import start_run

    settings, _ = PRESETS["demo"]
    waited: list[float] = []
    train = Lane.train

    def noting(lane: Lane, birth: Any, *others: Any) -> Any:
        began = time.perf_counter()
        lane.trainer.programs(birth.genotype)
        waited.append(time.perf_counter() - began)
        return train(lane, birth, *others)

    class Meter(Watcher):
        """Reads processor time when the session begins and at every event."""

        used = 0.0
        began: float | None = None

        def progressed(self, progress: Progress) -> None:
            if self.began is None:
                # The session began a little before this first call.
                self.began = time.process_time()
            self.used = time.process_time() - self.began

    meter = Meter()
    Lane.train = noting  # type: ignore[assignment, method-assign]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAXEVO_CACHE_DIR"] = str(Path(folder) / "executables")
        limits = Limits(max_individuals=individuals)
        progress = start_run(Path(folder) / "run", settings, limits, execution, meter).progress
    seconds = progress.session_seconds
    busy = meter.used / (seconds * len(os.sched_getaffinity(0)))
    waiting = sum(waited) / (seconds * lanes)
    return Session(seconds, busy, waiting, peak_memory() / 2**20, progress.state.fingerprint)


if __name__ == "__main__":
    exit_with(main)
