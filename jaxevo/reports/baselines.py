"""The simplest classifiers of a data set, for comparison: the majority class, and a linear model on the pixels."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.data import Dataset, Split
from jaxevo.data.splits import grouped
from jaxevo.reports.lbfgs import minimise

RUN_SHARE = 0.02
"""Part of a run's FLOPs that the linear model may cost. It makes more FLOPs a second than a run, so its part of the
processor's time is smaller."""
_MOST_FLOPS = 2.5e11
"""About 15 seconds of one core; runs on accelerators would afford far more."""
_MOST_EVALUATIONS = 120
_FEWEST_EVALUATIONS = 20
"""If there are FLOPs for fewer, the model is fitted to a part of the training images."""
_FEWEST_IMAGES_A_CLASS = 5
_STRENGTHS = {1e-1: 0.6, 1e-2: 0.2, 1e-3: 0.2}
"""Strengths of the L2 penalty to choose from, each with its share of the evaluations. The first one starts from zeros,
each other one from the last one's weights."""
_CHUNK = 512
"""Images that are float32 at once, so that they stay in the processor's cache."""


class LinearPlan(NamedTuple):
    """The extent of a fit.

    Attributes:
        images: number of training images, from the first on.
        evaluations: of loss and gradient over these images, at most.
        flops: of all evaluations together.
    """

    images: int
    evaluations: int
    flops: int


class LinearModel(NamedTuple):
    """A multinomial logistic regression.

    Attributes:
        mean: float32 [pixels], to subtract from the pixels.
        deviation: of all pixels, to divide by.
        weights: float32 [classes, pixels + 1], the biases last.
    """

    mean: np.ndarray
    deviation: np.float32
    weights: np.ndarray

    def accuracy(self, split: Split) -> float:
        """Returns the accuracy on a split, in [0, 1]."""
        return sum(int(_count_right(self, *chunk)) for chunk in _chunks(split)) / len(split.labels)


def majority_accuracy(dataset: Dataset) -> float:
    """Returns the test accuracy of always answering with the most frequent class of the training images."""
    counts = np.bincount(dataset.train.labels, minlength=dataset.num_classes)
    return float((dataset.test.labels == counts.argmax()).mean())


def plan_linear(dataset: Dataset, flops: float) -> LinearPlan | None:
    """Returns the largest fit of the linear model for at most so many FLOPs, None if they are too few for any."""
    affordable = min(flops, _MOST_FLOPS)
    pixels = int(np.prod(dataset.image_shape))
    an_image = 4 * pixels * dataset.num_classes  # A product for the logits, one for the gradient.
    images = min(len(dataset.train.labels), int(affordable / (_FEWEST_EVALUATIONS * an_image)))
    if images < _FEWEST_IMAGES_A_CLASS * dataset.num_classes:
        return None
    evaluations = min(_MOST_EVALUATIONS, int(affordable / (images * an_image)))
    return LinearPlan(images, evaluations, evaluations * images * an_image)


def fit_linear(dataset: Dataset, plan: LinearPlan) -> LinearModel:
    """Fits a multinomial logistic regression on the pixels, with the L2 penalty that is best on validation.

    Deterministic: full-batch L-BFGS from zeros. It never looks at the test split. `plan` must be one of this data set.
    """
    train = _part(dataset.train, plan.images)
    mean = train.images.reshape(plan.images, -1).mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = np.float32(255 * np.sqrt(np.mean(dataset.std**2)))
    model = LinearModel(mean, deviation, np.zeros((dataset.num_classes, len(mean) + 1), np.float32))
    models = []
    for strength, share in _STRENGTHS.items():
        objective = functools.partial(_loss_and_gradient, model, train, strength)
        model = model._replace(weights=minimise(objective, model.weights, int(share * plan.evaluations)))
        models.append(model)
    return _strongest_of_the_good(models, dataset.validation)


def _part(split: Split, images: int) -> Split:
    """Returns the first images, or as many spread evenly where the first ones may be of a few classes alone."""
    if not grouped(split.labels):
        return Split(split.images[:images], split.labels[:images])
    spread = np.arange(images) * len(split.labels) // images
    return Split(split.images[spread], split.labels[spread])


def _strongest_of_the_good(models: list[LinearModel], validation: Split) -> LinearModel:
    """Returns the first model within one standard error of the best (Breiman et al. 1984)."""
    accuracies = [model.accuracy(validation) for model in models]
    best = max(accuracies)
    error = np.sqrt(best * (1 - best) / len(validation.labels))
    return next(model for model, accuracy in zip(models, accuracies, strict=True) if accuracy >= best - error)


def _loss_and_gradient(
    model: LinearModel, split: Split, strength: float, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Returns mean cross-entropy with an L2 penalty of the weights, not the biases, and its gradient."""
    model = model._replace(weights=weights)
    loss, gradient = 0.0, np.zeros_like(weights)
    for chunk in _chunks(split):
        part, slope = _summed_loss_and_gradient(model, *chunk)
        loss += float(part)
        gradient += np.asarray(slope)
    gradient /= len(split.labels)
    gradient[:, :-1] += np.float32(strength) * weights[:, :-1]
    return loss / len(split.labels) + strength / 2 * float(np.square(weights[:, :-1]).sum()), gradient


def _chunks(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields a split in chunks of one size: uint8 [chunk, pixels], and labels, with -1 for those that fill it up."""
    images = split.images.reshape(len(split.labels), -1)
    for start in range(0, len(images), _CHUNK):
        pixels, labels = images[start : start + _CHUNK], split.labels[start : start + _CHUNK]
        missing = _CHUNK - len(labels)
        yield np.pad(pixels, ((0, missing), (0, 0))), np.pad(labels, (0, missing), constant_values=-1)


# With JAX rather than NumPy, whose products take all cores and, beside another process, several times as long.
@jax.jit
def _summed_loss_and_gradient(model: LinearModel, pixels: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the cross-entropy summed over a chunk, and its gradient by the weights."""
    inputs, logits = _inputs_and_logits(model, pixels)
    given = (labels >= 0)[:, None]
    wanted = jax.nn.one_hot(labels, logits.shape[1])  # All zeros for -1.
    losses = -(jax.nn.log_softmax(logits) * wanted)
    slopes = jnp.where(given, jax.nn.softmax(logits) - wanted, 0.0)
    # Eight times as fast on CPU as the transposed product.
    products = jnp.matmul(slopes.T, inputs, precision=jax.lax.Precision.HIGHEST)
    return losses.sum(), jnp.concatenate([products, slopes.sum(axis=0)[:, None]], axis=1)


@jax.jit
def _count_right(model: LinearModel, pixels: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns the number of correctly classified images of a chunk."""
    _, logits = _inputs_and_logits(model, pixels)
    return (logits.argmax(axis=1) == labels).sum()


def _inputs_and_logits(model: LinearModel, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs = (pixels.astype(jnp.float32) - model.mean) / model.deviation
    products = jnp.matmul(inputs, model.weights[:, :-1].T, precision=jax.lax.Precision.HIGHEST)
    return inputs, products + model.weights[:, -1]
