"""The batches of a training: planned on the host, drawn on the device.

All that is random in a training (the order of the images, their crops and flips) is drawn on the host for the whole
training at once: its plan. So no compiled program contains a random generator, which would take a third of the
compilation on CPU, and one plan serves any number of devices.

There are two ways to draw a batch, which pick exactly the same pixels. `draw_batch` gathers pixels, one kernel on a GPU
and one loop on a CPU. `draw_batch_by_rows` gathers whole images and crops them by matrix products: a TPU would gather
the 51,200 pixels of a batch of 50 one after the other.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint

from jaxevo.data import Dataset
from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.search.space import ImageShape
from jaxevo.settings import Settings


class Images(NamedTuple):
    """Training images on the device.

    Attributes:
        pixels: uint8 [images, height, width, channels]; on TPUs [images, height * width * channels], so that an image
            is one row, and picking it does not lay out all images anew.
        labels: int32 [images].
        mean: float32 [channels], mean of the pixels scaled to [0, 1].
        deviation: float32 [channels], standard deviation of the same.
    """

    pixels: jax.Array
    labels: jax.Array
    mean: jax.Array
    deviation: jax.Array


class Plan(NamedTuple):
    """The plan of a training: its images in order, with their crops and flips.

    Attributes:
        order: int32 [steps, batch], indices of images.
        offsets: int32 [steps, batch, 2], rows and columns by which the crop is moved.
        flips: bool [steps, batch], True to flip the image left to right.
    """

    order: Any
    offsets: Any
    flips: Any


BATCHES_DRAWN = 8
"""Batches drawn per call if each step is a call of its own. Drawing one per call takes half as long as a step of the
smallest network; more than these fall out of the processor's cache before they are used."""
PLAN_AXIS = 1
"""The axis of a plan's arrays that is split over devices."""
_BY_ROWS = "tpu"
_FASTEST_ALONG_BATCH = Layout((1, 2, 3, 0))

Batch = tuple[jax.Array, jax.Array]
"""Normalised images, float32 [batch, height, width, channels], and labels, int32 [batch]."""
DrawBatch = Callable[[Images, Plan, jax.Array], Batch]


def plan_training(seed: int, individual_id: int, settings: Settings, dataset: Dataset) -> Plan:
    """Returns an individual's plan as NumPy arrays. Each epoch is a shuffle of all training images."""
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
    """Returns the padding of the random crop in pixels, and True to flip; the data set gives the defaults."""
    padding = dataset.crop_padding if settings.crop_padding is None else settings.crop_padding
    return padding, dataset.flip if settings.flip is None else settings.flip


def draw_batch_on(platform: str, image_shape: ImageShape) -> DrawBatch:
    """Returns the way to draw a batch on a device.

    Args:
        platform: of the device, as JAX names it.
        image_shape: (height, width, channels).

    Returns:
        A function `(images, plan, step) -> batch`.
    """
    return functools.partial(draw_batch_by_rows, image_shape) if platform == _BY_ROWS else draw_batch


def draw_batch(images: Images, plan: Plan, step: jax.Array) -> Batch:
    """Returns the batch of a step, cropped and flipped in one gather of pixels, then normalised."""
    height, width = images.pixels.shape[1:3]
    order = plan.order[step]
    rows, columns = _cropped(plan, step, (height, width))
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    pixels = images.pixels[
        order[:, None, None],
        jnp.clip(rows, 0, height - 1)[:, :, None],
        jnp.clip(columns, 0, width - 1)[:, None, :],
    ]
    # Pad with black before normalisation, as if the images themselves were padded.
    pixels = jnp.where(inside[..., None], pixels, 0)
    return normalise(pixels, images.mean, images.deviation), images.labels[order]


def draw_batch_by_rows(image_shape: ImageShape, images: Images, plan: Plan, step: jax.Array) -> Batch:
    """Returns the batch of a step: whole images from `images.pixels` as rows, cropped and flipped by matrix products.

    A row of a factor has a single one, or none where the crop lies outside of the image, which becomes black. So the
    products are exact: bfloat16 holds every integer up to 256.
    """
    height, width, channels = image_shape
    order = plan.order[step]
    rows, columns = _cropped(plan, step, (height, width))
    picked_rows = (rows[:, :, None] == jnp.arange(height)).astype(jnp.bfloat16)
    picked_columns = (columns[:, :, None] == jnp.arange(width)).astype(jnp.bfloat16)
    whole = images.pixels[order].reshape(-1, height, width * channels).astype(jnp.bfloat16)
    moved = jnp.einsum("brh,bhx->brx", picked_rows, whole).reshape(-1, *image_shape)
    # A TPU's compiler gives activations the layout of the images. With the products' own layout a step of three
    # convolutions with skips would take three times as many cycles, by the compiler's estimate for a v5e.
    pixels = with_layout_constraint(jnp.einsum("bcw,brwx->brcx", picked_columns, moved), _FASTEST_ALONG_BATCH)
    return normalise(pixels, images.mean, images.deviation), images.labels[order]


def _cropped(plan: Plan, step: jax.Array, size: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Returns the rows and columns of the images that a step's crops show, int32 [batch, height] and [batch, width].

    Those outside of the image are negative or too large.
    """
    offsets = plan.offsets[step]
    rows = jnp.arange(size[0]) + offsets[:, 0, None]
    columns = jnp.arange(size[1]) + offsets[:, 1, None]
    return rows, jnp.where(plan.flips[step][:, None], columns[:, ::-1], columns)


def draw_batches(images: Images, plan: Plan, first: jax.Array) -> list[Batch]:
    """Returns the batches of `BATCHES_DRAWN` steps from `first` on; those past the plan's end are meaningless."""
    pixels, labels = jax.vmap(lambda step: draw_batch(images, plan, step))(first + jnp.arange(BATCHES_DRAWN))
    return [(pixels[number], labels[number]) for number in range(BATCHES_DRAWN)]


def normalise(pixels: jax.Array, mean: jax.Array, deviation: jax.Array) -> jax.Array:
    """Returns pixels of 0 to 255 as normalised float32; mean and deviation are of pixels scaled to [0, 1]."""
    return (pixels.astype(jnp.float32) / 255.0 - mean) / deviation


def images_on(platform: str, dataset: Dataset) -> Images:
    """Returns the training images, on the host, in the shape that `draw_batch_on` needs on a platform."""
    pixels: Any = dataset.train.images
    if platform == _BY_ROWS:
        pixels = pixels.reshape(len(pixels), -1)
    others: tuple[Any, ...] = dataset.train.labels, dataset.mean, dataset.std
    return Images(pixels, *others)


def bytes_held(settings: Settings, dataset: Dataset) -> int:
    """Returns the bytes that a device holds for a lane beside its networks: the images of all splits, and a plan.

    `max_memory` does not count them, since it decides mutations and must not depend on devices or data.
    """
    splits = (dataset.train, dataset.validation, dataset.test)
    images = sum(split.images.nbytes + 4 * len(split.labels) for split in splits)
    order, offsets, flips = 4, 8, 1
    return images + settings.train_steps * settings.batch_size * (order + offsets + flips)


def put_images(dataset: Dataset, where: jax.Device | jax.sharding.Sharding) -> Images:
    """Puts the training images on one or more devices, as uint8."""
    device = where if isinstance(where, jax.Device) else next(iter(where.device_set))
    placed: Images = jax.device_put(images_on(device.platform, dataset), where)
    return placed
