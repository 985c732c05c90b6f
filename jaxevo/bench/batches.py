"""Measure images per second over batch sizes, of a lane that has the machine to itself."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from jaxevo.bench import ladder
from jaxevo.bench.extent import Extent
from jaxevo.bench.rungs import cost_of
from jaxevo.bench.steps import predicted_seconds, seconds_a_step, too_long
from jaxevo.bench.timing import Spread, rates
from jaxevo.networks.devices import Devices
from jaxevo.networks.trainer import Trainer
from jaxevo.spaces.large_scale.genotype import Genotype


@dataclass(frozen=True)
class BatchSpeed:
    """The speed of training with one batch size.

    Attributes:
        name: name of the genotype.
        batch_size: images per batch.
        not_measured: why the rest is None; None if it was measured.
        step_seconds: seconds per training step.
        images_per_second: training images per second.
    """

    name: str
    batch_size: int
    not_measured: str | None = None
    step_seconds: Spread | None = None
    images_per_second: Spread | None = None


def measure_batches(extent: Extent, peak_flops: float, say: Callable[[str], None]) -> list[BatchSpeed]:
    """Measures the batch sizes of an extent on the first device.

    Args:
        extent: extent of the benchmark.
        peak_flops: peak float32 FLOPs per second of a lane.
        say: called with the current step.
    """
    dataset, devices = ladder.images(), Devices(jax.local_devices()[:1])
    trainers = {size: Trainer(ladder.settings(size), dataset, devices) for size in extent.batch_sizes}
    speeds = []
    for name in extent.batch_rungs:
        for trainer in trainers.values():
            say(f"{name}: batch {trainer.settings.batch_size}")
            speeds.append(_measure(extent, trainer, name, ladder.ladder()[name], peak_flops))
    return speeds


def _measure(extent: Extent, trainer: Trainer, name: str, genotype: Genotype, peak_flops: float) -> BatchSpeed:
    needed, batch_size = cost_of(genotype, trainer), trainer.settings.batch_size
    predicted = predicted_seconds(needed.training_flops * batch_size, peak_flops)
    reason = too_long(extent, predicted)
    if reason is not None:
        return BatchSpeed(name, batch_size, reason)
    training = trainer.begin(0, genotype, trainer.programs(genotype), genotype.learning_rate)
    step = seconds_a_step(extent, training, predicted)
    return BatchSpeed(name, batch_size, None, step, rates(batch_size, step))
