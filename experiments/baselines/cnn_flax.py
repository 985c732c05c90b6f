"""The CNN by hand in plain Flax and Optax."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.baselines.recipe import NORM_DECAY, POOLED, WIDTHS, Recipe, normalised
from jaxevo.data import Dataset, Split

_EVALUATION_BATCH = 500


class Network(nn.Module):
    """The CNN, float32 [batch, height, width, channels] -> logits [batch, classes]."""

    classes: int

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        """Returns logits; with `train` it normalises by the batch and updates the running statistics."""
        point = images
        for number, width in enumerate(WIDTHS):
            point = nn.Conv(width, (3, 3), use_bias=False, kernel_init=nn.initializers.he_normal())(point)
            point = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=NORM_DECAY)(point))
            if number in POOLED:
                point = nn.max_pool(point, (2, 2), (2, 2))
        return nn.Dense(self.classes)(point.mean(axis=(1, 2)))


class _State(NamedTuple):
    params: Any
    batch_stats: Any
    optimiser: Any


class FlaxLearner:
    """The CNN in training. A step is one call from Python, since CPU convolution gradients are slow in JAX's loops."""

    def __init__(self, dataset: Dataset, recipe: Recipe, seed: int) -> None:
        """Makes fresh arrays."""
        self._step, self._right = _functions(dataset, recipe)
        self._dataset, self._recipe, self._seed = dataset, recipe, seed
        self.reset()

    def reset(self) -> None:
        """Makes fresh arrays, those of the seed."""
        images = jnp.zeros((1, *self._dataset.image_shape))
        variables = Network(self._dataset.num_classes).init(jax.random.key(self._seed), images, False)
        params = variables["params"]
        self._state = _State(params, variables["batch_stats"], _optimiser(self._recipe).init(params))

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> None:
        """Takes one step on a batch, and waits for its end."""
        self._state = self._step(self._state, images, labels, np.float32(rate))
        jax.block_until_ready(self._state)

    def accuracy(self, split: Split) -> float:
        """Returns the accuracy on a split, in [0, 1]."""
        starts = range(0, len(split.labels), _EVALUATION_BATCH)
        parts = [tuple(array[start : start + _EVALUATION_BATCH] for array in split) for start in starts]
        return sum(int(self._right(self._state, *part)) for part in parts) / len(split.labels)


def _optimiser(recipe: Recipe) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(
            recipe.weight_decay, mask=lambda tree: jax.tree.map(lambda array: array.ndim > 1, tree)
        ),
        optax.trace(recipe.momentum, nesterov=True),
    )


def _functions(dataset: Dataset, recipe: Recipe) -> tuple[Any, Any]:
    """Returns the compiled step, and the compiled number of right answers on a batch."""
    network, optimiser = Network(dataset.num_classes), _optimiser(recipe)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: _State, images: jax.Array, labels: jax.Array, rate: jax.Array) -> _State:
        def mean_loss(params: Any) -> tuple[jax.Array, Any]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, updates = network.apply(variables, normalised(images, dataset), True, mutable=["batch_stats"])
            targets = optax.smooth_labels(jax.nn.one_hot(labels, dataset.num_classes), recipe.label_smoothing)
            return optax.softmax_cross_entropy(logits, targets).mean(), updates["batch_stats"]

        gradients, batch_stats = jax.grad(mean_loss, has_aux=True)(state.params)
        updates, memory = optimiser.update(gradients, state.optimiser, state.params)
        params = jax.tree.map(lambda array, update: array - rate * update, state.params, updates)
        return _State(params, batch_stats, memory)

    @jax.jit
    def right(state: _State, images: jax.Array, labels: jax.Array) -> jax.Array:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return (network.apply(variables, normalised(images, dataset), False).argmax(axis=1) == labels).sum()

    return step, right
