"""Measure compile throughput over threads: architectures per second, each different and none in a cache.

Threads share one compiler, as they do in a run. Tracing and lowering are Python, which one thread at a time runs;
compilation by XLA is not.
"""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax

from jaxevo.bench import ladder
from jaxevo.bench.extent import Extent
from jaxevo.bench.scaling import powers_of_two
from jaxevo.bench.timing import Spread, spread, timed
from jaxevo.bench.waiting import intervals_of
from jaxevo.environment.cores import usable_cores
from jaxevo.networks.devices import Devices
from jaxevo.networks.trainer import Trainer
from jaxevo.spaces.large_scale.genotype import Genotype

_BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"
# Each of three widths takes so many values before the last one grows.
_WIDTHS = 16


@dataclass(frozen=True)
class ThreadsSpeed:
    """The compile throughput of several threads together.

    Attributes:
        threads: number of threads.
        architectures: number of architectures that they compile in a sample, each for training and evaluation.
        architectures_per_second: architectures per second of all threads together.
        ratio: its median divided by that of one thread.
    """

    threads: int
    architectures: int
    architectures_per_second: Spread
    ratio: float


@dataclass(frozen=True)
class CompileSpeed:
    """The compile throughput of a machine.

    Attributes:
        python_seconds_per_architecture: seconds of a single thread per architecture outside XLA's compiler: tracing and
            lowering. One thread at a time does this, so that hardly more than its inverse is compiled per second.
        speeds: throughput of 1, 2, 4, ... threads up to the number of cores.
    """

    python_seconds_per_architecture: Spread
    speeds: list[ThreadsSpeed]


def measure_compiling(extent: Extent, say: Callable[[str], None]) -> CompileSpeed:
    """Measures 1, 2, 4, ... threads, for the first device; the process must have an empty cache of executables."""
    trainer = Trainer(ladder.settings(), ladder.images(), Devices(jax.local_devices()[:1]))
    fresh = _genotypes()
    trainer.programs(next(fresh))  # No sample pays for the startup of the compiler.
    python: list[float] = []
    speeds: list[ThreadsSpeed] = []
    for threads in powers_of_two(usable_cores()):
        count = threads * extent.architectures_per_thread
        samples: list[float] = []
        while len(samples) < extent.compile_repeats and sum(samples) < extent.compile_seconds:
            say(f"{count} architectures, {threads} thread{'' if threads == 1 else 's'}")
            with intervals_of(_BACKEND_COMPILE) as in_xla:
                samples.append(_compile(trainer, list(itertools.islice(fresh, count)), threads))
            if threads == 1:
                python.append((samples[-1] - sum(end - begin for begin, end in in_xla)) / count)
        speed = spread([count / seconds for seconds in samples])
        alone = speeds[0].architectures_per_second.median if speeds else speed.median
        speeds.append(ThreadsSpeed(threads, count, speed, speed.median / alone))
    return CompileSpeed(spread(python), speeds)


def _genotypes() -> Iterator[Genotype]:
    """Yields networks of three convolutions that differ in their widths by little, so that each compiles as long."""
    for number in itertools.count():
        first, second, third = number % _WIDTHS, number // _WIDTHS % _WIDTHS, number // _WIDTHS**2
        yield ladder.plain([(16 + first, 0), (16 + second, 1), (32 + third, 1)])


def _compile(trainer: Trainer, genotypes: list[Genotype], threads: int) -> float:
    """Returns the seconds until all genotypes are compiled."""
    with ThreadPoolExecutor(threads) as pool:
        return timed(lambda: list(pool.map(trainer.programs, genotypes)))
