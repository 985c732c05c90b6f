"""Times of repeated work: what is not steady is left out, and what is told is a median with its spread."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """What several samples of one quantity were, in the unit that the name of the quantity ends in.

    Attributes:
        median: of the samples.
        min: the least of them.
        max: the largest.
        samples: how many they are.
    """

    median: float
    min: float
    max: float
    samples: int


def spread(samples: Sequence[float]) -> Spread:
    """Returns the median and the range of one sample or more."""
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


def rates(amount: float, seconds: Spread) -> Spread:
    """Returns how much is done in a second, where `amount` of it takes `seconds`."""
    return Spread(amount / seconds.median, amount / seconds.max, amount / seconds.min, seconds.samples)


def timed(work: Callable[[], object]) -> float:
    """Returns the seconds that a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def seconds_each(work: Callable[[int], object], window_seconds: float, repeats: int, most: int = 2**20) -> Spread:
    """Returns the seconds of one unit of work, whose first and slower calls are not counted.

    Args:
        work: does so many units, and returns when the device has done them.
        window_seconds: that a sample should take; one unit at least is done.
        repeats: samples to take.
        most: units that a sample may have.
    """
    count = units_in(work, window_seconds, most)
    return spread([timed(lambda: work(count)) / count for _ in range(repeats)])


def units_in(work: Callable[[int], object], window_seconds: float, most: int) -> int:
    """Returns how many units of work fill a window, 1 to `most`, having warmed up."""
    work(1)
    count, taken = 1, timed(lambda: work(1))
    while taken < window_seconds / 4 and count < most:
        count = min(most, 4 * count)
        taken = timed(lambda count=count: work(count))  # type: ignore[misc]
    return max(1, min(most, round(count * window_seconds / taken)))
