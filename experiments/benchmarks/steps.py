"""Compares a training step of the engine with a loop written by hand for one network.

    python -m experiments.benchmarks.steps

Both train the same genotypes on the same batches in one process, in turn, on one thread, with the compiler options of
a run. The loop by hand is as short as it can be: one jitted function, its state donated, draws the batch and makes the
step. Prints the median processor time of several turns, and the median of their ratios. Expected: a ratio of at most
1.03. For results see docs/benchmarks.md.
"""

import functools
import statistics
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from experiments.benchmarks.apart import processor_seconds
from experiments.benchmarks.markdown import table
from experiments.entry import exit_with, prepare, program
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution

_DATASETS = ("digits", "fashion_mini")
_CONVOLUTIONS = (0, 1, 4, 8)
_CHANNELS = 8
_LEARNING_RATE = 0.1
_TRAIN_STEPS = 300
_TURN_SECONDS = 0.3


def main(arguments: list[str] | None = None) -> int:
    """Measures every network and prints the table; returns 0."""
    parser = program("experiments.benchmarks.steps", __doc__)
    parser.add_argument("--turns", type=int, default=15, help="of each side; default: 15")
    given = parser.parse_args(arguments)
    prepare()
    rows = [
        (dataset, str(convolutions), *_measured(dataset, _genotype(convolutions), given.turns))
        for dataset in _DATASETS
        for convolutions in _CONVOLUTIONS
    ]
    print(table(("images", "convolutions", "by hand", "engine", "engine over by hand (least to most)"), rows))
    return 0


def _genotype(convolutions: int) -> Genotype:
    """Returns a chain of 3 x 3 convolutions with 8 channels, each with batch normalisation and ReLU."""
    factors = (Fraction(_CHANNELS if number == 0 else 1) for number in range(convolutions))
    layers = (
        Layer(number, Convolution(factor, 1, 1, 0), Activation.BATCH_NORM_RELU)
        for number, factor in enumerate(factors, start=1)
    )
    return Genotype(_LEARNING_RATE, tuple(layers))


def _measured(dataset: str, genotype: Genotype, turns: int) -> tuple[str, str, str]:
    import jax

    from jaxevo.data import load
    from jaxevo.networks.devices import Devices
    from jaxevo.networks.trainer import Trainer

    settings = Settings(dataset=dataset, train_steps=_TRAIN_STEPS)
    trainer = Trainer(settings, load(dataset), Devices(jax.local_devices()[:1]))
    engine = trainer.begin(0, genotype, trainer.programs(genotype), genotype.learning_rate).repeat
    by_hand = _by_hand(trainer, genotype)
    steps = min(_TRAIN_STEPS, max(1, round(_TURN_SECONDS / _seconds_each(by_hand, 8))))
    pairs = [(_seconds_each(by_hand, steps), _seconds_each(engine, steps)) for _ in range(turns)]
    ratios = [ours / theirs for theirs, ours in pairs]
    return (
        f"{1e6 * statistics.median(theirs for theirs, _ in pairs):,.0f} us",
        f"{1e6 * statistics.median(ours for _, ours in pairs):,.0f} us",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    )


def _by_hand(trainer: Any, genotype: Genotype) -> Callable[[int], None]:
    """Returns a function that trains a number of steps with the loop by hand."""
    import jax
    import numpy as np
    import optax

    from experiments.benchmarks.side_by_side.flax_loop import is_filter
    from jaxevo.networks.batches import draw_batch, plan_training
    from jaxevo.spaces.large_scale.architecture import architecture
    from jaxevo.spaces.large_scale.network import Phenotype

    settings, dataset, images = trainer.settings, trainer.dataset, trainer.images
    network = Phenotype(architecture(genotype, dataset.image_shape), dataset.num_classes)
    optimiser = optax.chain(
        optax.add_decayed_weights(settings.weight_decay, mask=is_filter),
        optax.sgd(genotype.learning_rate, settings.momentum),
    )
    plan = jax.device_put(plan_training(settings.seed, 0, settings, dataset))

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state: Any, images: Any, plan: Any, step: Any) -> Any:
        params, batch_stats, optimiser_state = state
        batch, labels = draw_batch(images, plan, step)

        def mean_loss(params: Any) -> Any:
            variables = {"params": params, "batch_stats": batch_stats}
            logits, updates = network.apply(variables, batch, train=True, mutable=["batch_stats"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), updates.get("batch_stats", {})

        gradients, batch_stats = jax.grad(mean_loss, has_aux=True)(params)
        updates, optimiser_state = optimiser.update(gradients, optimiser_state, params)
        return optax.apply_updates(params, updates), batch_stats, optimiser_state

    variables = network.init(jax.random.key(0), np.zeros((1, *dataset.image_shape), np.float32), train=False)
    params = variables["params"]
    # Committed to the device, as the step returns it: otherwise the second step would compile again.
    state = jax.device_put((params, variables.get("batch_stats", {}), optimiser.init(params)), jax.local_devices()[0])

    def train(steps: int) -> None:
        nonlocal state
        for step in range(steps):
            state = train_step(state, images, plan, np.int32(step))
        jax.block_until_ready(state)

    return train


def _seconds_each(train: Callable[[int], object], steps: int) -> float:
    """Returns the processor seconds of a step, after one uncounted step that may compile."""
    train(1)
    return processor_seconds(lambda: train(steps))[1] / steps


if __name__ == "__main__":
    exit_with(main)
