"""How training scales: over lanes, each with an individual of its own, and over devices that share one individual."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax

from jaxevo.bench import ladder
from jaxevo.bench.extent import Extent
from jaxevo.bench.timing import Spread, rates, seconds_each, spread, units_in
from jaxevo.execution.placement import lane_devices, number_of_lanes
from jaxevo.networks.devices import Devices
from jaxevo.networks.trainer import Trainer, Training
from jaxevo.settings import Execution
from jaxevo.spaces.large_scale.genotype import Genotype

DEVICES_BATCH = 48
"""Images of a batch that devices share: unlike the default's 50, most numbers of devices divide it."""
# Calls that a lane makes in a window.
_CALLS = 8


@dataclass(frozen=True)
class LanesSpeed:
    """What some lanes train together.

    Attributes:
        name: of the genotype, of which each lane trains an individual.
        lanes: that train at once.
        devices: that they have together.
        steps_per_second: of all lanes.
        ratio: of the median to that of one lane.
    """

    name: str
    lanes: int
    devices: int
    steps_per_second: Spread
    ratio: float


@dataclass(frozen=True)
class DevicesSpeed:
    """What some devices that share every batch train.

    Attributes:
        name: of the genotype.
        devices: that train one individual.
        batch_size: images of a batch, of all devices.
        steps_per_second: of the one individual.
        ratio: of the median to that of one device.
    """

    name: str
    devices: int
    batch_size: int
    steps_per_second: Spread
    ratio: float


def measure_lanes(extent: Extent, lanes: int | None, say: Callable[[str], None]) -> list[LanesSpeed]:
    """Measures one lane, two, four, and so on.

    Args:
        extent: which genotypes, how often.
        lanes: the most to measure; None for one a core on CPU, for two a device on accelerators, where a second lane
            fills what the first leaves.
        say: told what is being measured.
    """
    groups = lane_devices(Execution())
    shared = number_of_lanes(Execution(), groups) if groups[0].first.platform == "cpu" else 2 * len(groups)
    counts = powers_of_two(lanes if lanes is not None else shared)
    settings, dataset = ladder.settings(), ladder.images()
    trainers = [Trainer(settings, dataset, devices) for devices in groups[: counts[-1]]]
    speeds: list[LanesSpeed] = []
    for name in extent.scaling_rungs:
        say(f"{name}: compiling")
        trainings = _trainings(trainers, ladder.ladder()[name], counts[-1])
        steps = units_in(trainings[0].repeat, extent.window_seconds / _CALLS, ladder.PLANNED_STEPS)
        alone: float | None = None
        for count in counts:
            say(f"{name}: {count} lane{'' if count == 1 else 's'}")
            samples = [_together(trainings[:count], steps, extent.window_seconds) for _ in range(extent.repeats + 1)]
            speed = spread(samples[1:])  # The first one warms up lanes that have not trained yet.
            alone = speed.median if alone is None else alone
            speeds.append(LanesSpeed(name, count, min(count, len(trainers)), speed, speed.median / alone))
    return speeds


def measure_devices(extent: Extent, say: Callable[[str], None]) -> list[DevicesSpeed]:
    """Measures one local device, two, four, and so on, as far as they divide the batch."""
    counts = [count for count in powers_of_two(jax.local_device_count()) if DEVICES_BATCH % count == 0]
    settings, dataset = ladder.settings(DEVICES_BATCH), ladder.images()
    speeds: list[DevicesSpeed] = []
    trainers = {count: Trainer(settings, dataset, Devices(jax.local_devices()[:count])) for count in counts}
    for name in extent.scaling_rungs:
        genotype = ladder.ladder()[name]
        alone: float | None = None
        for count in counts:
            say(f"{name}: {count} device{'' if count == 1 else 's'} an individual")
            training = trainers[count].begin(0, genotype, trainers[count].programs(genotype))
            seconds = seconds_each(training.repeat, extent.window_seconds, extent.repeats, ladder.PLANNED_STEPS)
            speed = rates(1.0, seconds)
            alone = speed.median if alone is None else alone
            speeds.append(DevicesSpeed(name, count, DEVICES_BATCH, speed, speed.median / alone))
    return speeds


def powers_of_two(most: int) -> list[int]:
    """Returns 1, 2, 4, ... up to `most`, which is the last one even if it is none."""
    counts = [1]
    while 2 * counts[-1] <= most:
        counts.append(2 * counts[-1])
    return counts if counts[-1] == most else [*counts, most]


def _trainings(trainers: Sequence[Trainer], genotype: Genotype, count: int) -> list[Training]:
    """Returns so many individuals of a genotype, on the trainers in turn, as lanes are."""
    turns = [trainers[number % len(trainers)] for number in range(count)]
    return [trainer.begin(number, genotype, trainer.programs(genotype)) for number, trainer in enumerate(turns)]


def _together(trainings: Sequence[Training], steps: int, seconds: float) -> float:
    """Returns the steps that lanes make together in a second, all of them training for some seconds.

    Args:
        trainings: one a lane.
        steps: of a call.
        seconds: after which no lane begins another call.
    """
    barrier = threading.Barrier(len(trainings))

    def train(training: Training) -> float:
        barrier.wait()
        began, calls = time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - began < seconds:
            training.repeat(steps)
            calls += 1
        return calls * steps / (time.perf_counter() - began)

    with ThreadPoolExecutor(len(trainings)) as lanes:
        return sum(lanes.map(train, trainings))
