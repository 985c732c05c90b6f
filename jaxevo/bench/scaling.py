"""Measure the scaling of training: over lanes with an individual each, and over devices that share one individual."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax

from jaxevo.bench import ladder
from jaxevo.bench.extent import Extent
from jaxevo.bench.steps import seconds_a_step, steps_a_unit
from jaxevo.bench.timing import Spread, rates, spread, units_in
from jaxevo.execution.placement import lane_devices, number_of_lanes
from jaxevo.networks.devices import Devices
from jaxevo.networks.trainer import Trainer, Training
from jaxevo.settings import Execution
from jaxevo.spaces.large_scale.genotype import Genotype

DEVICES_BATCH = 48
"""Batch size of devices that share an individual. Unlike the default of 50, most numbers of devices divide it."""
# Calls of a lane per window.
_CALLS = 8
_MOST_LANES_PER_ACCELERATOR = 8


@dataclass(frozen=True)
class LanesSpeed:
    """The speed of several lanes together.

    Attributes:
        name: name of the genotype, of which each lane trains an individual.
        lanes: number of lanes.
        devices: number of their devices.
        lanes_per_device: most lanes that share a device.
        steps_per_second: steps per second of all lanes together.
        ratio: its median divided by that of one lane.
    """

    name: str
    lanes: int
    devices: int
    lanes_per_device: int
    steps_per_second: Spread
    ratio: float


@dataclass(frozen=True)
class DevicesSpeed:
    """The speed of several devices that share every batch.

    Attributes:
        name: name of the genotype.
        devices: number of devices that train one individual.
        batch_size: images per batch, over all devices.
        steps_per_second: steps per second of the individual.
        ratio: its median divided by that of one device.
    """

    name: str
    devices: int
    batch_size: int
    steps_per_second: Spread
    ratio: float


def measure_lanes(extent: Extent, lanes: int | None, say: Callable[[str], None]) -> list[LanesSpeed]:
    """Measures 1, 2, 4, ... lanes.

    Args:
        extent: extent of the benchmark.
        lanes: most lanes to measure. None for one per core on CPU, and eight per device on accelerators, where further
            lanes use the time that the first leaves idle.
        say: called with the current step.
    """
    groups = lane_devices(Execution())
    counts = powers_of_two(lanes if lanes is not None else most_lanes(groups))
    settings, dataset = ladder.settings(), ladder.images()
    trainers = [Trainer(settings, dataset, devices) for devices in groups[: counts[-1]]]
    speeds: list[LanesSpeed] = []
    for name in extent.scaling_rungs:
        say(f"{name}: compiling")
        trainings = _trainings(trainers, ladder.ladder()[name], counts[-1])
        steps = _steps_in(trainings[0], extent.window_seconds / _CALLS)
        alone: float | None = None
        for count in counts:
            say(f"{name}: {count} lane{'' if count == 1 else 's'}")
            samples = [_together(trainings[:count], steps, extent.window_seconds) for _ in range(extent.repeats + 1)]
            speed = spread(samples[1:])  # The first sample warms up new lanes.
            alone = speed.median if alone is None else alone
            devices = min(count, len(trainers))
            speeds.append(LanesSpeed(name, count, devices, -(-count // devices), speed, speed.median / alone))
    return speeds


def most_lanes(groups: list[Devices]) -> int:
    """Returns the most lanes to measure on groups of devices by default."""
    if groups[0].first.platform == "cpu":
        return number_of_lanes(Execution(), groups)
    return _MOST_LANES_PER_ACCELERATOR * len(groups)


def measure_devices(extent: Extent, say: Callable[[str], None]) -> list[DevicesSpeed]:
    """Measures 1, 2, 4, ... local devices, as far as they divide the batch."""
    counts = [count for count in powers_of_two(jax.local_device_count()) if DEVICES_BATCH % count == 0]
    settings, dataset = ladder.settings(DEVICES_BATCH), ladder.images()
    speeds: list[DevicesSpeed] = []
    trainers = {count: Trainer(settings, dataset, Devices(jax.local_devices()[:count])) for count in counts}
    for name in extent.scaling_rungs:
        genotype = ladder.ladder()[name]
        alone: float | None = None
        for count in counts:
            say(f"{name}: {count} device{'' if count == 1 else 's'} an individual")
            [training] = _trainings([trainers[count]], genotype, 1)
            speed = rates(1.0, seconds_a_step(extent, training))
            alone = speed.median if alone is None else alone
            speeds.append(DevicesSpeed(name, count, DEVICES_BATCH, speed, speed.median / alone))
    return speeds


def powers_of_two(most: int) -> list[int]:
    """Returns 1, 2, 4, ... up to `most`, which comes last even if it is no power of two."""
    counts = [1]
    while 2 * counts[-1] <= most:
        counts.append(2 * counts[-1])
    return counts if counts[-1] == most else [*counts, most]


def _steps_in(training: Training, seconds: float) -> int:
    """Returns the steps that a training runs in so many seconds, in whole calls of its program."""
    unit = steps_a_unit(training)
    return unit * units_in(lambda units: training.repeat(unit * units), seconds, ladder.PLANNED_STEPS // unit)


def _trainings(trainers: Sequence[Trainer], genotype: Genotype, count: int) -> list[Training]:
    """Returns `count` trainings of a genotype, assigned to the trainers in turn, as lanes are."""
    turns = [trainers[number % len(trainers)] for number in range(count)]
    return [
        trainer.begin(number, genotype, trainer.programs(genotype), genotype.learning_rate)
        for number, trainer in enumerate(turns)
    ]


def _together(trainings: Sequence[Training], steps: int, seconds: float) -> float:
    """Returns the steps per second of all lanes together.

    Args:
        trainings: one training per lane.
        steps: steps per call.
        seconds: seconds after which no lane begins another call.
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
