"""Compares compiling a new architecture, and running a step of it, with a plain Flax and Optax loop.

    python -m experiments.benchmarks.programs
    python -m experiments.benchmarks.programs --streams demo --architectures 4

Takes architectures of the recorded streams (`experiments.benchmarks.side_by_side.streams`). Each side compiles their
training and evaluation and trains some steps, in a process of its own and without a cache. Prints processor time:

- `jaxevo`: as in a run.
- `jaxevo, XLA's flags`: the same with XLA's default compiler options.
- `flax`: the jitted `train_step` and `eval_step` of `experiments.benchmarks.side_by_side.flax_loop`, with JAX's
  defaults.
- `flax with init`: the same and its jitted initialiser.

Expected: jaxevo compiles in at most half of flax's time, and its steps take no longer. For results see
docs/benchmarks.md.
"""

import functools
import os
import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from experiments.benchmarks.apart import in_fresh_process, processor_seconds
from experiments.benchmarks.markdown import table
from experiments.benchmarks.side_by_side.streams import NAMES, Stream, evenly, read_stream
from experiments.entry import exit_with, prepare, program
from jaxevo.environment.probe import ask_jax
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution

_TRAIN_STEPS = 300
_SAMPLES = 5
_SAMPLE_STEPS = 50
# Unlike any in the streams, so that none of them pays for the first compilation of a process.
_FIRST = Genotype(0.1, (Layer(1, Convolution(Fraction(3), 0, 4, 0), Activation.LINEAR),))
# XLA's defaults. jaxevo leaves flags alone that are set already.
_XLA_FLAGS = (
    "--xla_backend_optimization_level=3",
    "--xla_cpu_use_fusion_emitters=true",
    "--xla_cpu_parallel_codegen_split_count=32",
)

Train = Callable[[int], object]
"""Trains a number of steps, and returns when they are done."""
Measured = list[tuple[float, float]]
"""Processor seconds of compiling and of a step, for each architecture."""


def main(arguments: list[str] | None = None) -> int:
    """Measures every side and prints the table; returns 0."""
    parser = program("experiments.benchmarks.programs", __doc__)
    parser.add_argument("--streams", nargs="+", choices=NAMES, default=list(NAMES), help="default: all")
    parser.add_argument("--architectures", type=int, default=16, help="of each stream; default: 16")
    given = parser.parse_args(arguments)
    rows: list[tuple[str, ...]] = []
    for name in given.streams:
        stream = read_stream(name)
        genotypes = evenly(_one_of_each_architecture(stream), given.architectures)
        found = {side: in_fresh_process(measure, stream.dataset, genotypes) for side, measure in SIDES.items()}
        rows += [(name, side, *_cells(measured, found["flax"])) for side, measured in found.items()]
    print(table(("stream", "side", "compiling (least to most)", "over flax", "a step", "over flax"), rows))
    return 0


def _one_of_each_architecture(stream: Stream) -> tuple[Genotype, ...]:
    genotypes: dict[Any, Genotype] = {}
    for sample in stream.samples:
        genotypes.setdefault(stream.architecture(sample.genotype), sample.genotype)
    return tuple(genotypes.values())


def _cells(measured: Measured, flax: Measured) -> tuple[str, ...]:
    """Returns means over the architectures, and their ratios to those of flax."""
    (compiling, step), (flax_compiling, flax_step) = (
        tuple(map(statistics.fmean, zip(*side, strict=True))) for side in (measured, flax)
    )
    least, most = min(seconds for seconds, _ in measured), max(seconds for seconds, _ in measured)
    return (
        f"{compiling:.2f} s ({least:.2f} to {most:.2f})",
        f"{compiling / flax_compiling:.2f}",
        f"{1e6 * step:,.0f} us",
        f"{step / flax_step:.2f}",
    )


def _jaxevo(dataset: str, genotypes: Sequence[Genotype], flags: Sequence[str] = ()) -> Measured:
    os.environ["XLA_FLAGS"] = ""
    os.environ["XLA_FLAGS"] = " ".join(ask_jax(flags).flags)
    prepare()
    import jax

    from jaxevo.data import load
    from jaxevo.networks.devices import Devices
    from jaxevo.networks.programs import Programs
    from jaxevo.networks.trainer import Trainer

    settings = Settings(dataset=dataset, train_steps=_TRAIN_STEPS)
    trainer = Trainer(settings, load(dataset), Devices(jax.local_devices()[:1]))

    def trainee(genotype: Genotype, programs: Programs) -> Train:
        return trainer.begin(0, genotype, programs, genotype.learning_rate).repeat

    return _measured(genotypes, trainer.programs, trainee)


def _flax(dataset: str, genotypes: Sequence[Genotype], with_init: bool = False) -> Measured:
    import jax
    import numpy as np

    from experiments.benchmarks.side_by_side import flax_loop
    from experiments.benchmarks.side_by_side.images import padded_images, validation_batches
    from jaxevo.data import load
    from jaxevo.networks.batches import plan_training
    from jaxevo.networks.training import evaluation_batch_size
    from jaxevo.spaces.large_scale.architecture import architecture
    from jaxevo.spaces.large_scale.network import Phenotype

    settings, images = Settings(dataset=dataset, train_steps=_TRAIN_STEPS), load(dataset)
    padded = padded_images(images, settings)
    pixels, labels = jax.device_put((padded.pixels, padded.labels))
    evaluated = validation_batches(images, evaluation_batch_size(settings, images))[0]
    plan = plan_training(settings.seed, 0, settings, images)

    def batch(step: int) -> tuple[jax.Array, jax.Array]:
        corners = plan.offsets[step] + padded.margin
        drawn = pixels, labels, plan.order[step], corners, plan.flips[step]
        return flax_loop.draw_batch(*drawn, shape=images.image_shape[:2])

    def compiled(genotype: Genotype) -> Phenotype:
        model = Phenotype(architecture(genotype, images.image_shape), images.num_classes)
        rate = np.float32(genotype.learning_rate)
        state = jax.eval_shape(functools.partial(flax_loop.init_state, model), jax.random.key(0), rate)
        if with_init:
            flax_loop.init_state.lower(model, jax.random.key(0), rate).compile()
        flax_loop.train_step.lower(model, state, *batch(0)).compile()
        flax_loop.eval_step.lower(model, state, *evaluated).compile()
        return model

    def trainee(genotype: Genotype, model: Phenotype) -> Train:
        state = flax_loop.init_state(model, jax.random.key(0), np.float32(genotype.learning_rate))

        def train(steps: int) -> None:
            nonlocal state
            for step in range(steps):
                state = flax_loop.train_step(model, state, *batch(step))
            jax.block_until_ready(state)

        return train

    return _measured(genotypes, compiled, trainee)


def _measured(
    genotypes: Sequence[Genotype], compiled: Callable[[Genotype], Any], trainee: Callable[[Genotype, Any], Train]
) -> Measured:
    """Measures `compiled` for each genotype, and a step of the training that `trainee` makes from its result."""
    trainee(_FIRST, compiled(_FIRST))(1)
    found: Measured = []
    for genotype in genotypes:
        made, seconds = processor_seconds(functools.partial(compiled, genotype))
        train = trainee(genotype, made)
        train(1)
        steps = [processor_seconds(functools.partial(train, _SAMPLE_STEPS))[1] for _ in range(_SAMPLES)]
        found.append((seconds, statistics.median(steps) / _SAMPLE_STEPS))
    return found


SIDES: dict[str, Callable[[str, tuple[Genotype, ...]], Measured]] = {
    "jaxevo": _jaxevo,
    "jaxevo, XLA's flags": functools.partial(_jaxevo, flags=_XLA_FLAGS),
    "flax": _flax,
    "flax with init": functools.partial(_flax, with_init=True),
}


if __name__ == "__main__":
    exit_with(main)
