"""Training and evaluation of one individual, as functions to be compiled.

What is random about a training, which image stands where in which batch and how it is cropped and flipped, is drawn on
the host, for the whole training at once: its plan. So no compiled program holds a random generator, which on CPU would
take a third of its compilation, and the same plan serves one device or many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxevo.data import Dataset, Split
from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.network import Phenotype


class Images(NamedTuple):
    """Training images on the device.

    Attributes:
        pixels: uint8 [images, height, width, channels].
        labels: int32 [images].
        mean: float32 [channels], of pixels in [0, 1].
        deviation: float32 [channels].
    """

    pixels: jax.Array
    labels: jax.Array
    mean: jax.Array
    deviation: jax.Array


class Plan(NamedTuple):
    """Which images a training sees, and how.

    Attributes:
        order: int32 [steps, batch], indices of images.
        offsets: int32 [steps, batch, 2], rows and columns that a crop is moved by.
        flips: bool [steps, batch], whether the image is flipped left to right.
    """

    order: Any
    offsets: Any
    flips: Any


BATCHES_DRAWN = 8
"""Batches that one call draws where each step is a call. A call for each takes half as long as a step of the smallest
network; more at once than these leave the processor's cache before they are used."""
_MOST_STEPS_A_CHUNK = 64
PLAN_AXIS = 1
"""The axis of a plan's arrays along which devices that share a batch split it."""


class Carry(NamedTuple):
    """What a training hands from step to step.

    Attributes:
        params: trainable arrays.
        batch_stats: running statistics of batch normalisation.
        optimiser: Optax's state, the momentum.
        finite: bool [], whether the loss of every batch so far was a finite number.
    """

    params: Any
    batch_stats: Any
    optimiser: Any
    finite: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The network's arrays, as it is applied with."""
        return {"params": self.params, "batch_stats": self.batch_stats}


Batch = tuple[jax.Array, jax.Array]
"""Normalised images, float32 [batch, height, width, channels], and labels, int32 [batch]."""
TrainStep = Callable[[Carry, Batch, jax.Array], Carry]
EvaluationBatches = list[Batch]
"""uint8 images [batch, height, width, channels] and labels [batch], -1 where the last batch is filled up."""


def plan_training(seed: int, individual_id: int, settings: Settings, dataset: Dataset) -> Plan:
    """Returns an individual's plan, as NumPy arrays: each epoch is a shuffle of all training images."""
    steps, size, count = settings.train_steps, settings.batch_size, len(dataset.train.labels)
    epochs = -(-steps * size // count)
    shuffles = [
        keyed_generator(seed, individual_id, Purpose.BATCH_ORDER, epoch).permutation(count) for epoch in range(epochs)
    ]
    order = np.concatenate(shuffles)[: steps * size].reshape(steps, size).astype(np.int32)
    generator = keyed_generator(seed, individual_id, Purpose.AUGMENTATION)
    padding, flip = augmentation(settings, dataset)
    offsets = generator.integers(-padding, padding + 1, (steps, size, 2), np.int32)
    flips = generator.integers(2, size=(steps, size)).astype(bool) & flip
    return Plan(order, offsets, flips)


def augmentation(settings: Settings, dataset: Dataset) -> tuple[int, bool]:
    """Returns the padding before the random crop, in pixels, and whether to flip: the settings' or the data set's."""
    padding = dataset.crop_padding if settings.crop_padding is None else settings.crop_padding
    return padding, dataset.flip if settings.flip is None else settings.flip


def draw_batch(images: Images, plan: Plan, step: jax.Array) -> Batch:
    """Returns the batch of a step: picked, cropped, flipped and normalised in one gather."""
    height, width = images.pixels.shape[1:3]
    order, offsets = plan.order[step], plan.offsets[step]
    rows = jnp.arange(height) + offsets[:, 0, None]
    columns = jnp.arange(width) + offsets[:, 1, None]
    columns = jnp.where(plan.flips[step][:, None], columns[:, ::-1], columns)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    pixels = images.pixels[
        order[:, None, None],
        jnp.clip(rows, 0, height - 1)[:, :, None],
        jnp.clip(columns, 0, width - 1)[:, None, :],
    ]
    # The padding is black, as in the images, before normalisation.
    pixels = jnp.where(inside[..., None], pixels, 0)
    return normalise(pixels, images.mean, images.deviation), images.labels[order]


def draw_batches(images: Images, plan: Plan, first: jax.Array) -> list[Batch]:
    """Returns the batches of `BATCHES_DRAWN` steps from `first` on; those beyond the plan's end are of no use."""
    pixels, labels = jax.vmap(lambda step: draw_batch(images, plan, step))(first + jnp.arange(BATCHES_DRAWN))
    return [(pixels[number], labels[number]) for number in range(BATCHES_DRAWN)]


def optimiser(settings: Settings) -> optax.GradientTransformation:
    """Returns SGD with momentum but for its learning rate, which is an argument of the compiled step.

    Weight decay is on the convolutions' filters only.
    """
    return optax.chain(
        optax.add_decayed_weights(settings.weight_decay, mask=_is_filter),
        optax.trace(decay=settings.momentum),
    )


def carry_shapes(variables: Any, settings: Settings) -> Carry:
    """Returns the shapes of what steps hand on, by those of the variables."""
    momentum = jax.eval_shape(optimiser(settings).init, variables["params"])
    return Carry(variables["params"], variables["batch_stats"], momentum, jax.ShapeDtypeStruct((), bool))


def start(variables: Any, shapes: Carry) -> Carry:
    """Returns what the first step is handed: the first variables, momentum from zero; `shapes` are `carry_shapes`.

    Zeros are made on the host: on the device they would compile a program for every shape.
    """
    zeros = jax.tree.map(lambda shape: np.zeros(shape.shape, shape.dtype), shapes.optimiser)
    return Carry(variables["params"], variables["batch_stats"], zeros, np.asarray(True))


def make_train_step(phenotype: Phenotype, settings: Settings) -> TrainStep:
    """Returns one step of SGD on the mean cross-entropy of a batch, to be compiled.

    The step is a function `(carry, batch, learning_rate) -> carry`. Where the phenotype names an axis, its batch is the
    part of one device, and what it does is a step on the batch of all: each of them returns the same.
    """
    transformation = optimiser(settings)

    def train_step(carry: Carry, batch: Batch, learning_rate: jax.Array) -> Carry:
        images, labels = batch
        chex.assert_equal_shape_prefix([images, labels], 1)

        def apply(params: Any) -> tuple[jax.Array, Any]:
            variables = carry._replace(params=params).variables
            logits, updates = phenotype.apply(variables, images, train=True, mutable=["batch_stats"])
            return logits, updates.get("batch_stats", {})

        logits, pull_back, batch_stats = jax.vjp(apply, carry.params, has_aux=True)
        of_logits, as_finite = cross_entropy_gradient(logits, labels)
        (gradients,) = pull_back(of_logits)
        if phenotype.axis_name is not None:
            gradients, as_finite = jax.lax.pmean((gradients, as_finite), phenotype.axis_name)
        steps, state = transformation.update(gradients, carry.optimiser, carry.params)
        params = jax.tree.map(lambda value, step: value - learning_rate * step, carry.params, steps)
        return Carry(params, batch_stats, state, carry.finite & jnp.isfinite(as_finite))

    return train_step


def cross_entropy_gradient(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the gradient of the mean cross-entropy: softmax less the one-hot labels, over the size of the batch.

    By hand, because of the loss itself nobody asks more than whether it is finite, and with the classes first, so that
    the loops run over the batch: on CPU, where LLVM unrolls loops over few classes, the program of the smallest network
    compiles in half the time.

    Args:
        logits: float32 [batch, classes].
        labels: int32 [batch].

    Returns:
        The gradient, float32 [batch, classes], and a number, float32 [], that is finite where the loss is: the sum of
        the terms that the loss is made of.
    """
    by_class = jax.lax.optimization_barrier(logits.T)  # Else XLA would transpose later.
    below = by_class.max(axis=0) - by_class
    powers = jnp.exp(-below)
    one_hot = jnp.arange(len(by_class))[:, None] == labels
    gradient = ((powers / powers.sum(axis=0) - one_hot) / len(labels)).T
    # The loss of an image is the distance of its label's logit plus the logarithm of the sum of powers, from 1 up.
    return gradient, jnp.where(one_hot, below, powers).sum()


def steps_a_chunk(settings: Settings) -> int:
    """Returns the length of the chunks that a training is cut into evenly, at most `_MOST_STEPS_A_CHUNK`."""
    chunks = -(-settings.train_steps // _MOST_STEPS_A_CHUNK)
    return -(-settings.train_steps // chunks)


def make_train_chunk(train_step: TrainStep, length: int) -> Callable[..., Carry]:
    """Returns a run of steps as one program, `(carry, images, plan, learning_rate, first, end) -> carry`.

    For accelerators: XLA's CPU backend runs the gradients of convolutions inside loops 10 to 20 times slower. The loop
    has a fixed length, since a GPU would otherwise ask the host after each step whether another follows, which takes
    as long as a step of the smallest network. Steps from `end` on change nothing.
    """

    def train_chunk(
        carry: Carry, images: Images, plan: Plan, learning_rate: jax.Array, first: jax.Array, end: jax.Array
    ) -> Carry:
        def body(number: jax.Array, carry: Carry) -> Carry:
            step = first + number
            trained = train_step(carry, draw_batch(images, plan, step), learning_rate)
            return jax.tree.map(lambda new, old: jnp.where(step < end, new, old), trained, carry)

        return jax.lax.fori_loop(0, length, body, carry)

    return train_chunk


class Evaluation(NamedTuple):
    """What a network says of a batch; rows with a label of -1 only fill the batch up and count for nothing.

    Attributes:
        predictions: int32 [batch], classes.
        correct: int32 [], predictions that equal their label, of this batch and of those before; -1 once a logit of an
            image was not a finite number. So one number says all of a split, however many batches it has.
    """

    predictions: jax.Array
    correct: jax.Array


def make_evaluate(phenotype: Phenotype) -> Callable[..., Evaluation]:
    """Returns what evaluates a batch, to be compiled.

    It is a function `(variables, images, labels, correct_before) -> evaluation`, of normalised images, where the last
    is `Evaluation.correct` of the batch before, 0 for the first.
    """

    def evaluate(variables: Any, images: jax.Array, labels: jax.Array, correct_before: jax.Array) -> Evaluation:
        logits = phenotype.apply(variables, images, train=False)
        finite = jnp.isfinite(jnp.abs(logits).max(axis=-1)) | (labels < 0)
        predictions = logits.argmax(axis=-1).astype(jnp.int32)
        correct = correct_before + (predictions == labels).sum(dtype=jnp.int32)
        return Evaluation(predictions, jnp.where(finite.all() & (correct_before >= 0), correct, -1))

    return evaluate


def normalise(pixels: jax.Array, mean: jax.Array, deviation: jax.Array) -> jax.Array:
    """Returns images as networks see them, float32, of uint8 pixels; mean and deviation are of pixels in [0, 1]."""
    return (pixels.astype(jnp.float32) / 255.0 - mean) / deviation


def put_images(dataset: Dataset, where: jax.Device | jax.sharding.Sharding) -> Images:
    """Puts the training images on a device or on several, as uint8."""
    return Images(*jax.device_put((dataset.train.images, dataset.train.labels, dataset.mean, dataset.std), where))


def put_evaluation_batches(split: Split, batch_size: int, device: jax.Device) -> EvaluationBatches:
    """Puts a split on a device in batches of one shape, the last one filled up with images labelled -1."""
    batches = []
    for first in range(0, len(split.labels), batch_size):
        pixels, labels = split.images[first : first + batch_size], split.labels[first : first + batch_size]
        missing = batch_size - len(labels)
        pixels = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)))
        labels = np.pad(labels, (0, missing), constant_values=-1)
        batches.append(jax.device_put((pixels, labels), device))
    return batches


def evaluation_batch_size(settings: Settings, dataset: Dataset) -> int:
    """Returns the one batch size of validation and test, no larger than the larger of the two."""
    return min(settings.evaluation_batch_size, max(len(dataset.validation.labels), len(dataset.test.labels)))


def _is_filter(params: Any) -> Any:
    return {
        module: {name: name == "kernel" and module != "classifier" for name in arrays}
        for module, arrays in params.items()
    }
