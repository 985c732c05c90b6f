"""A plain Flax and Optax loop: one individual after the other, JAX with its default settings.

It is the loop that a careful user would write without jaxevo. The module is a static argument and the learning rate is
in the optimiser's state, so that a known network compiles nothing. The state is donated. Normalised images are on the
device; cropping and flipping are compiled once for all.
"""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.side_by_side.images import padded_images, validation_batches
from experiments.benchmarks.side_by_side.work import Trained, Work
from jaxevo.data import load
from jaxevo.networks.batches import plan_training
from jaxevo.networks.training import evaluation_batch_size
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.network import Phenotype

_DEFAULTS = Settings()


def is_filter(params: Any) -> Any:
    """Returns a tree of the parameters' shape: True for filters of convolutions, which alone decay."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[0].key.startswith("convolution"), params)


_OPTIMISER = optax.chain(
    optax.add_decayed_weights(_DEFAULTS.weight_decay, mask=is_filter),
    optax.inject_hyperparams(optax.sgd, static_args="momentum")(learning_rate=0.0, momentum=_DEFAULTS.momentum),
)


class TrainState(NamedTuple):
    """The state of a training between two steps."""

    params: Any
    batch_stats: Any
    optimiser: Any


def train(work: Work, began: float) -> Trained:
    """Trains and validates every individual; `began` is the start of the process by `time.perf_counter`."""
    settings, dataset = work.settings, load(work.dataset)
    padded = padded_images(dataset, settings)
    pixels, labels = jax.device_put((padded.pixels, padded.labels))
    batches = jax.device_put(validation_batches(dataset, evaluation_batch_size(settings, dataset)))
    accuracies: list[float | None] = []
    started = time.perf_counter()
    for number, genotype in enumerate(work.genotypes):
        model = Phenotype(architecture(genotype, dataset.image_shape), dataset.num_classes)
        plan = plan_training(settings.seed, number, settings, dataset)
        corners = plan.offsets + padded.margin
        state = init_state(model, jax.random.key(number), np.float32(genotype.learning_rate))
        for step in range(settings.train_steps):
            batch = draw_batch(
                pixels, labels, plan.order[step], corners[step], plan.flips[step], shape=dataset.image_shape[:2]
            )
            state = train_step(model, state, *batch)
        counted = [eval_step(model, state, *batch) for batch in batches]
        finite = all(bool(finite) for _, finite in counted)
        correct = sum(int(correct) for correct, _ in counted)
        accuracies.append(correct / len(dataset.validation.labels) if finite else None)
    return Trained(time.perf_counter() - started, started - began, tuple(accuracies))


@functools.partial(jax.jit, static_argnames="model")
def init_state(model: Phenotype, key: jax.Array, learning_rate: jax.Array) -> TrainState:
    """Returns the initial state, with arrays from Flax's initialisers."""
    variables = model.init(key, jnp.zeros((1, *model.architecture.image_shape)), train=False)
    return first_state(variables["params"], variables.get("batch_stats", {}), learning_rate)


def first_state(params: Any, batch_stats: Any, learning_rate: Any) -> TrainState:
    """Returns the initial state of these arrays, with zero momentum."""
    decay, sgd = _OPTIMISER.init(params)
    sgd = sgd._replace(hyperparams={**sgd.hyperparams, "learning_rate": jnp.asarray(learning_rate, jnp.float32)})
    return TrainState(params, batch_stats, (decay, sgd))


@functools.partial(jax.jit, static_argnames="shape")
def draw_batch(
    pixels: jax.Array, labels: jax.Array, order: jax.Array, corners: jax.Array, flips: jax.Array, shape: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Returns a batch of images, cropped and flipped, and its labels.

    Args:
        pixels: float32 [images, height, width, channels], with a margin.
        labels: int32 [images].
        order: int32 [batch], the images to pick.
        corners: int32 [batch, 2], first row and first column of each crop.
        flips: bool [batch], True to flip left to right.
        shape: height and width of the crops.
    """
    rows = jnp.arange(shape[0]) + corners[:, :1]
    columns = jnp.arange(shape[1]) + corners[:, 1:]
    columns = jnp.where(flips[:, None], columns[:, ::-1], columns)
    return pixels[order[:, None, None], rows[:, :, None], columns[:, None, :]], labels[order]


@functools.partial(jax.jit, static_argnames="model", donate_argnames="state")
def train_step(model: Phenotype, state: TrainState, images: jax.Array, labels: jax.Array) -> TrainState:
    """Returns the state after one step of SGD on a batch."""

    def mean_loss(params: Any) -> tuple[jax.Array, Any]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, updates = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), updates.get("batch_stats", {})

    gradients, batch_stats = jax.grad(mean_loss, has_aux=True)(state.params)
    updates, optimiser = _OPTIMISER.update(gradients, state.optimiser, state.params)
    return TrainState(optax.apply_updates(state.params, updates), batch_stats, optimiser)


@functools.partial(jax.jit, static_argnames="model")
def eval_step(model: Phenotype, state: TrainState, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the number of correctly classified images of a batch, and True if all logits are finite."""
    logits = model.apply({"params": state.params, "batch_stats": state.batch_stats}, images, train=False)
    return (logits.argmax(axis=-1) == labels).sum(), jnp.isfinite(logits).all()
