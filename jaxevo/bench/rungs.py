"""Measure the training of each genotype of the ladder: steps, share of the device's peak, cold and warm compilation."""

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from jaxevo.bench import ladder
from jaxevo.bench.extent import Extent
from jaxevo.bench.steps import predicted_seconds, samples_within, seconds_a_step, too_long
from jaxevo.bench.timing import Spread, rates, seconds_each, spread
from jaxevo.networks.compilation import Compiler, use_persistent_cache
from jaxevo.networks.devices import Devices
from jaxevo.networks.programs import Programs
from jaxevo.networks.trainer import Trainer, Training
from jaxevo.networks.training import evaluation_batch_size
from jaxevo.search.space import Cost
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Identity


@dataclass(frozen=True)
class Rung:
    """The measurements of one genotype, on a lane that has the machine to itself.

    Attributes:
        name: name of the genotype.
        convolutions: number of convolutions.
        parameters: number of trainable parameters.
        forward_flops_per_image: FLOPs of a forward pass of one image, counted from the architecture
            (`jaxevo.spaces.large_scale.cost`).
        training_flops_per_image: FLOPs of a forward pass and its gradient, counted likewise.
        predicted_step_seconds: seconds per step as predicted from its FLOPs and the measured peak.
        not_measured: why the rest is None; None if it was measured.
        step_seconds: seconds per training step: drawing the batch, gradient, update.
        images_per_second: training images per second.
        flops_per_second: training FLOPs per second.
        peak_share: `flops_per_second` divided by the measured float32 peak.
        evaluated_images_per_second: images per second in evaluation.
        compile_cold_seconds: seconds to trace and compile the programs of training and evaluation without a cache.
        compile_warm_seconds: the same with both in JAX's cache on disk.
    """

    name: str
    convolutions: int
    parameters: int
    forward_flops_per_image: int
    training_flops_per_image: int
    predicted_step_seconds: float
    not_measured: str | None = None
    step_seconds: Spread | None = None
    images_per_second: Spread | None = None
    flops_per_second: Spread | None = None
    peak_share: Spread | None = None
    evaluated_images_per_second: Spread | None = None
    compile_cold_seconds: Spread | None = None
    compile_warm_seconds: Spread | None = None


def measure_ladder(extent: Extent, peak_flops: float, cache: Path, say: Callable[[str], None]) -> list[Rung]:
    """Measures the rungs of an extent on the first device.

    Args:
        extent: extent of the benchmark.
        peak_flops: peak float32 FLOPs per second of a lane.
        cache: folder of the cache of executables, which is kept.
        say: called with the current step.
    """
    trainer = Trainer(ladder.settings(), ladder.images(), Devices(jax.local_devices()[:1]))
    genotypes = ladder.ladder()
    # Compile something first, so that no rung pays for the startup of the compiler.
    trainer.programs(Genotype(0.1, (Layer(1, Identity(), Activation.BATCH_NORM_RELU),)))
    rungs = []
    for number, name in enumerate(extent.rungs, start=1):

        def say_which(text: str, name: str = name, number: int = number) -> None:
            say(f"{name} ({number} of {len(extent.rungs)}): {text}")

        rungs.append(_measure(extent, trainer, name, genotypes[name], peak_flops, cache, say_which))
    return rungs


def _measure(
    extent: Extent,
    trainer: Trainer,
    name: str,
    genotype: Genotype,
    peak_flops: float,
    cache: Path,
    say: Callable[[str], None],
) -> Rung:
    needed, batch_size = cost_of(genotype, trainer), trainer.settings.batch_size
    flops = needed.training_flops
    predicted = predicted_seconds(flops * batch_size, peak_flops)
    rung = Rung(
        name=name,
        convolutions=genotype.convolutions,
        parameters=needed.parameters,
        forward_flops_per_image=needed.forward_flops,
        training_flops_per_image=flops,
        predicted_step_seconds=predicted,
    )
    reason = too_long(extent, predicted)
    if reason is not None:
        return dataclasses.replace(rung, not_measured=reason)
    cold, warm = _compile_seconds(extent, trainer, genotype, cache, say)
    say("training steps")
    programs = trainer.programs(genotype)
    training = trainer.begin(0, genotype, programs, genotype.learning_rate)
    step = seconds_a_step(extent, training, predicted)
    say("evaluation")
    evaluate = functools.partial(_evaluate, trainer, programs, training)
    evaluated = evaluation_batch_size(trainer.settings, trainer.dataset)
    repeats = samples_within(extent, predicted_seconds(needed.forward_flops * evaluated, peak_flops))
    evaluation = seconds_each(evaluate, extent.window_seconds / 2, repeats, most=64)
    return dataclasses.replace(
        rung,
        step_seconds=step,
        images_per_second=rates(batch_size, step),
        flops_per_second=rates(flops * batch_size, step),
        peak_share=rates(flops * batch_size / peak_flops, step),
        evaluated_images_per_second=rates(evaluated, evaluation),
        compile_cold_seconds=cold,
        compile_warm_seconds=warm,
    )


def _evaluate(trainer: Trainer, programs: Programs, training: Training, batches: int) -> None:
    """Evaluates `batches` batches of images and waits for the device."""
    images, variables = trainer.devices.on_first(trainer.images), training.variables
    correct: Any = np.int32(0)
    for _ in range(batches):
        correct = programs.evaluate(variables, images, trainer.test[0], correct).correct
    jax.block_until_ready(correct)


def cost_of(genotype: Genotype, trainer: Trainer) -> Cost:
    """Returns the cost of training a genotype."""
    compiled = architecture(genotype, trainer.dataset.image_shape)
    return cost(compiled, trainer.dataset.num_classes, trainer.settings.batch_size)


def _compile_seconds(
    extent: Extent, trainer: Trainer, genotype: Genotype, cache: Path, say: Callable[[str], None]
) -> tuple[Spread, Spread]:
    """Returns the compile seconds with empty caches, and with a full cache, which stays in use.

    The first cold sample uses the cache of this benchmark, which has no programs of this rung yet.
    """
    cold: list[float] = []
    while len(cold) < extent.compile_repeats and sum(cold) < extent.compile_seconds:
        say(f"compiling, cold ({len(cold) + 1} of at most {extent.compile_repeats})")
        if not cold:
            cold.append(_compile(trainer, genotype, cache))
            continue
        with tempfile.TemporaryDirectory(dir=cache) as empty:
            cold.append(_compile(trainer, genotype, Path(empty)))
    say("compiling, warm")
    warm = [_compile(trainer, genotype, cache) for _ in range(extent.repeats)]
    return spread(cold), spread(warm)


def _compile(trainer: Trainer, genotype: Genotype, cache: Path) -> float:
    """Returns the compile seconds of a new compiler that has only the cache in a folder."""
    reset_cache()  # Otherwise JAX keeps using its first folder.
    use_persistent_cache(cache)
    compiler = Compiler(trainer.settings, trainer.dataset, trainer.devices)
    return compiler.programs(architecture(genotype, trainer.dataset.image_shape)).compile_seconds
