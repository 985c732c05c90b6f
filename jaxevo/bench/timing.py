"""Measure repeated work: warm up first, then report a median with its spread."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The spread of several samples of one quantity, in the unit that the name of the quantity ends with.

    Attributes:
        median: median of the samples.
        min: smallest sample.
        max: largest sample.
        samples: number of samples.
    """

    median: float
    min: float
    max: float
    samples: int


def spread(samples: Sequence[float]) -> Spread:
    """Returns the median and the range of one or more samples."""
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


def rates(amount: float, seconds: Spread) -> Spread:
    """Returns the rate per second of work of which `amount` takes `seconds`."""
    return Spread(amount / seconds.median, amount / seconds.max, amount / seconds.min, seconds.samples)


def timed(work: Callable[[], object]) -> float:
    """Returns the seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def seconds_each(work: Callable[[int], object], window_seconds: float, repeats: int, most: int = 2**20) -> Spread:
    """Returns the seconds per unit of work, without the first calls, which are slower.

    Args:
        work: does the given number of units and waits for the device.
        window_seconds: target duration of a sample, which has at least one unit.
        repeats: number of samples.
        most: most units of a sample.
    """
    count = units_in(work, window_seconds, most)
    return spread([timed(lambda: work(count)) / count for _ in range(repeats)])


def units_in(work: Callable[[int], object], window_seconds: float, most: int) -> int:
    """Returns the units of work, 1 to `most`, that fill a window after warming up."""
    work(1)
    count, taken = 1, timed(lambda: work(1))
    while taken < window_seconds / 4 and count < most:
        count = min(most, 4 * count)
        taken = timed(lambda count=count: work(count))  # type: ignore[misc]
    return max(1, min(most, round(count * window_seconds / taken)))
