"""Training and evaluation of one individual, as functions to compile."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxevo.data import Dataset, Split
from jaxevo.networks.batches import Batch, DrawBatch, Images, Plan
from jaxevo.settings import Settings
from jaxevo.spaces.network_space import Path, is_filter

_MOST_STEPS_A_CHUNK = 64


class Carry(NamedTuple):
    """The state of a training between two steps.

    Attributes:
        params: trainable arrays.
        batch_stats: running statistics of batch normalisation.
        optimiser: Optax state, the momentum.
        finite: bool [], True while the loss of every batch was finite.
    """

    params: Any
    batch_stats: Any
    optimiser: Any
    finite: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The variables of the Flax module."""
        return {"params": self.params, "batch_stats": self.batch_stats}


TrainStep = Callable[[Carry, Batch, jax.Array], Carry]
EvaluationBatches = list[Batch]
"""uint8 images [batch, height, width, channels] and int32 labels [batch]; the last batch is padded with label -1."""


Decays = Callable[[Path], bool]
"""A function of an array's path in `params` that returns True if weight decay applies to it."""


def optimiser(settings: Settings, decays: Decays = is_filter) -> optax.GradientTransformation:
    """Returns SGD with momentum, without a learning rate, which is an argument of the compiled step."""

    def mask(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: decays(tuple(part.key for part in path)), params)

    return optax.chain(
        optax.add_decayed_weights(settings.weight_decay, mask=mask),
        optax.trace(decay=settings.momentum),
    )


def carry_shapes(variables: Any, settings: Settings) -> Carry:
    """Returns the shapes of the carry, given the shapes of the variables."""
    momentum = jax.eval_shape(optimiser(settings).init, variables["params"])
    return Carry(variables["params"], variables["batch_stats"], momentum, jax.ShapeDtypeStruct((), bool))


def start(variables: Any, shapes: Carry) -> Carry:
    """Returns the carry of the first step: the initial variables and zero momentum; `shapes` are `carry_shapes`.

    The zeros are made on the host, because on the device they would compile a program for every shape.
    """
    zeros = jax.tree.map(lambda shape: np.zeros(shape.shape, shape.dtype), shapes.optimiser)
    return Carry(variables["params"], variables["batch_stats"], zeros, np.asarray(True))


def make_train_step(
    phenotype: nn.Module, settings: Settings, decays: Decays = is_filter, axis_name: str | None = None
) -> TrainStep:
    """Returns one step of SGD on the mean cross-entropy of a batch, to be compiled.

    The step is a function `(carry, batch, learning_rate) -> carry`. With an axis name, the batch is one device's part,
    gradients are averaged over all devices, and every device returns the same carry.
    """
    transformation = optimiser(settings, decays)

    def train_step(carry: Carry, batch: Batch, learning_rate: jax.Array) -> Carry:
        images, labels = batch
        chex.assert_equal_shape_prefix([images, labels], 1)

        def apply(params: Any) -> tuple[jax.Array, Any]:
            variables = carry._replace(params=params).variables
            logits, updates = phenotype.apply(variables, images, train=True, mutable=["batch_stats"])
            return logits, updates.get("batch_stats", {})

        logits, pull_back, batch_stats = jax.vjp(apply, carry.params, has_aux=True)
        of_logits, as_finite = cross_entropy_gradient(logits, labels, settings.label_smoothing)
        (gradients,) = pull_back(of_logits)
        if axis_name is not None:
            gradients, as_finite = jax.lax.pmean((gradients, as_finite), axis_name)
        steps, state = transformation.update(gradients, carry.optimiser, carry.params)
        params = jax.tree.map(lambda value, step: value - learning_rate * step, carry.params, steps)
        return Carry(params, batch_stats, state, carry.finite & jnp.isfinite(as_finite))

    return train_step


def cross_entropy_gradient(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """Returns the gradient of the mean cross-entropy: (softmax - target probabilities) / batch size.

    It is written by hand because only the gradient is needed, and of the loss only if it is finite. The class axis
    comes first, so that loops run over the batch: LLVM unrolls loops over few classes, and without them the program of
    the smallest network compiles in half the time on CPU.

    Args:
        logits: float32 [batch, classes].
        labels: int32 [batch].
        smoothing: share of the target probability that is spread evenly over all classes (Szegedy et al. 2016).

    Returns:
        The gradient, float32 [batch, classes], and a number, float32 [], that is finite if and only if the loss is: the
        sum of the terms of the loss.
    """
    by_class = jax.lax.optimization_barrier(logits.T)  # Otherwise XLA moves the transpose after the loops.
    below = by_class.max(axis=0) - by_class
    powers = jnp.exp(-below)
    one_hot = jnp.arange(len(by_class))[:, None] == labels
    target = one_hot * (1 - smoothing) + smoothing / len(by_class) if smoothing else one_hot
    gradient = ((powers / powers.sum(axis=0) - target) / len(labels)).T
    # The loss of an image is `below` at its label plus the logarithm of the sum of `powers`, which is at least 1.
    return gradient, jnp.where(one_hot, below, powers).sum()


def steps_a_chunk(settings: Settings) -> int:
    """Returns the steps per chunk, at most `_MOST_STEPS_A_CHUNK`, that divide a training evenly."""
    chunks = -(-settings.train_steps // _MOST_STEPS_A_CHUNK)
    return -(-settings.train_steps // chunks)


def make_train_chunk(train_step: TrainStep, draw_batch: DrawBatch, length: int) -> Callable[..., Carry]:
    """Returns `length` steps as one function, `(carry, images, plan, rates, first, end) -> carry`.

    It is meant for accelerators: on CPU, XLA runs the gradients of convolutions 10 to 20 times slower inside a loop.
    The loop has a fixed length, because otherwise a GPU asks the host after each step if another follows, which takes
    as long as a step of the smallest network. Steps from `end` on change nothing.
    """

    def train_chunk(
        carry: Carry, images: Images, plan: Plan, rates: jax.Array, first: jax.Array, end: jax.Array
    ) -> Carry:
        def body(number: jax.Array, carry: Carry) -> Carry:
            step = first + number
            trained = train_step(carry, draw_batch(images, plan, step), rates[step])
            return jax.tree.map(lambda new, old: jnp.where(step < end, new, old), trained, carry)

        return jax.lax.fori_loop(0, length, body, carry)

    return train_chunk


class Evaluation(NamedTuple):
    """The evaluation of a batch. Rows with label -1 are padding and do not count.

    Attributes:
        predictions: int32 [batch], predicted classes.
        correct: int32 [], number of correct predictions in this batch and those before; -1 once a logit was not finite.
            So a split transfers a single number, however many batches it has.
        loss: float32 [], summed cross-entropy of the batch; None if it is not computed.
    """

    predictions: jax.Array
    correct: jax.Array
    loss: jax.Array | None = None


def make_evaluate(phenotype: nn.Module, with_loss: bool = False) -> Callable[..., Evaluation]:
    """Returns the evaluation of a batch, to be compiled; `with_loss` to compute the loss too.

    It is a function `(variables, images, labels, correct_before) -> evaluation`. The images are normalised;
    `correct_before` is `Evaluation.correct` of the previous batch, 0 for the first.
    """

    def evaluate(variables: Any, images: jax.Array, labels: jax.Array, correct_before: jax.Array) -> Evaluation:
        logits = phenotype.apply(variables, images, train=False)
        finite = jnp.isfinite(jnp.abs(logits).max(axis=-1)) | (labels < 0)
        predictions = logits.argmax(axis=-1).astype(jnp.int32)
        correct = correct_before + (predictions == labels).sum(dtype=jnp.int32)
        correct = jnp.where(finite.all() & (correct_before >= 0), correct, -1)
        if not with_loss:
            return Evaluation(predictions, correct)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
        return Evaluation(predictions, correct, jnp.where(labels < 0, 0, losses).sum())

    return evaluate


def put_evaluation_batches(split: Split, batch_size: int, device: jax.Device) -> EvaluationBatches:
    """Puts a split on a device in batches of one shape; the last one is padded with images of label -1."""
    batches = []
    for first in range(0, len(split.labels), batch_size):
        pixels, labels = split.images[first : first + batch_size], split.labels[first : first + batch_size]
        missing = batch_size - len(labels)
        pixels = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)))
        labels = np.pad(labels, (0, missing), constant_values=-1)
        batches.append(jax.device_put((pixels, labels), device))
    return batches


def evaluation_batch_size(settings: Settings, dataset: Dataset) -> int:
    """Returns the batch size of validation and test, at most the size of the larger split."""
    return min(settings.evaluation_batch_size, max(len(dataset.validation.labels), len(dataset.test.labels)))
