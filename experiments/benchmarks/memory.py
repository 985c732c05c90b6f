"""Measures the memory of a run over thousands of individuals; it should stay flat.

    python -m experiments.benchmarks.memory
    python -m experiments.benchmarks.memory --individuals 300 --programs-in-memory 8

Runs an evolution of `digits` with very short trainings, thousands in minutes, and prints the memory of the process and
how much of it is allocated. The rest is program code, and freed memory that glibc's allocator keeps. Expected: once
`--programs-in-memory` is reached, allocated memory grows no faster than the networks. For results see
docs/benchmarks.md.
"""

import ctypes
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.benchmarks.apart import peak_memory
from experiments.entry import exit_with, prepare, program
from jaxevo.settings import Execution, Limits, Settings

if TYPE_CHECKING:
    from jaxevo.session.progress import Progress, Watcher

_COMPILED = "/jax/core/compile/backend_compile_duration"
_ROWS = 20
# Small networks, so that the engine is measured and not their arrays or their compilation.
_SETTINGS = Settings(dataset="digits", population_size=50, train_steps=20, max_parameters=20_000)


def main(arguments: list[str] | None = None) -> int:
    """Runs the evolution and prints the table; returns 0."""
    parser = program("experiments.benchmarks.memory", __doc__)
    parser.add_argument("--individuals", type=int, default=2_000, help="default: 2000")
    parser.add_argument("--programs-in-memory", type=int, default=Execution.programs_in_memory, help="as `jaxevo run`")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAXEVO_CACHE_DIR"] = str(Path(folder) / "cache")
        _measure(Path(folder) / "run", given.individuals, given.programs_in_memory)
    return 0


def _measure(path: Path, individuals: int, programs_in_memory: int) -> None:
    """Runs the evolution in an empty folder with an empty cache, and prints the table."""
    prepare()
    # Both import JAX, for which the process must be prepared.
    import jax

    from jaxevo.session.run import start_run

    print("| individuals | layers of the living | programs made or read | memory | allocated |")
    print("| --- | --- | --- | --- | --- |")
    execution = Execution(programs_in_memory=programs_in_memory)
    compiled: list[str] = []

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    watcher = _reader(max(1, individuals // _ROWS), compiled)
    start_run(path, _SETTINGS, Limits(max_individuals=individuals), execution, watcher)
    print(f"\npeak: {peak_memory() / 2**20:,.0f} MiB")


def _reader(every: int, compiled: Sequence[object]) -> "Watcher":
    """Returns a watcher that prints the memory of the process after every so many events."""
    from jaxevo.session.progress import Watcher

    class Reader(Watcher):
        """Prints a row at each multiple of `every` events."""

        due = every

        def progressed(self, progress: "Progress") -> None:
            events, living = progress.state.events, progress.state.population
            if events < self.due:
                return
            self.due += every
            layers = sum(len(individual.genotype.layers) for individual in living) / max(1, len(living))
            memory = f"{_resident_mebibytes():.0f} MiB | {_allocated_mebibytes():.0f} MiB"
            print(f"| {events} | {layers:.1f} | {len(compiled)} | {memory} |", flush=True)

    return Reader()


def _resident_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class _Allocations(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = tuple((name, ctypes.c_size_t) for name in _NAMES.split())


def _allocated_mebibytes() -> float:
    """Returns the memory allocated in the arenas of all threads and in mappings of their own."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Allocations
    found = mallinfo2()
    return float(found.uordblks + found.hblkhd) / 2**20


if __name__ == "__main__":
    exit_with(main)
