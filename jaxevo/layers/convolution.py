"""Convolutions by XLA or, on CPU, by a matrix product if that is faster.

XLA's CPU backend takes about 50 ns per output position, however few numbers are multiplied there, and the first
networks of an evolution multiply few. For these, the rows of an image are multiplied by a banded matrix, whose zeros
stand where the filter does not reach: more products, but in one large matrix product. It takes a tenth to four fifths
of XLA's time, and its program a tenth of a second more to compile (`python -m experiments.benchmarks.convolutions`).

For larger ones XLA's convolution and its gradient of the images are fast, but its gradient of the kernel reads rows as
long as the whole batch, which fall out of the cache. Summed over parts of some ten images, that gradient takes a third
to a half of the time from 14 x 14 pixels on, and a tenth of a second more to compile.

With one to three channels, as images have, XLA's convolution to fewer than 32 is slow too. Filled up with zeros to four
channels (from three; two and one stay) and 32 output channels, a convolution takes a third to two thirds of the time.
The gradient of images with few channels under strides of 2, by one convolution for all phases, takes half to four
fifths.

The choice follows from shapes and settings only, never from a measured time, so that a run stays reproducible.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.settings import Settings

Convolve = Callable[..., jax.Array]
"""A function like `jax.lax.conv_general_dilated`, for images [batch, height, width, channels] and SAME padding."""

# Products per output position above which XLA's own convolution is as fast.
_MOST_PRODUCTS = 2048
# Output positions in a whole training below which faster steps do not make up for the longer compilation.
_LEAST_POSITIONS = 2**20
# Products of channels up to which a gradient of the kernel by parts gains nothing.
_FEW_PRODUCTS = 64
_LEAST_PIXELS = 14 * 14
_LEAST_IMAGES_A_PART, _MOST_IMAGES_A_PART = 5, 12
_MOST_FILLED_CHANNELS, _FILLED_CHANNELS, _FILLED_OUT_CHANNELS = 3, 4, 32
# Fewer products of few channels are faster by rows.
_LEAST_FILLED_PRODUCTS = 16
# XLA is fast with more channels.
_MOST_PHASED_CHANNELS = 16
_OF_IMAGES = jax.lax.conv_dimension_numbers((1, 1, 1, 1), (1, 1, 1, 1), ("NHWC", "HWIO", "NHWC"))


def convolve_on(platform: str, settings: Settings | None = None) -> Convolve:
    """Returns the convolution function for a device.

    Args:
        platform: of the device, as JAX names it.
        settings: of the run, which give the length of a training; None for evaluation, which is too short to make up
            for a longer compilation.
    """
    if platform != "cpu":
        return jax.lax.conv_general_dilated
    return widened if settings is None else functools.partial(_on_cpu, settings.train_steps * settings.batch_size)


def widened(images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Any, **others: Any) -> jax.Array:
    """Returns XLA's convolution, of bfloat16 by way of float32: right on every device and version of JAX.

    On CPU JAX 0.11 and 0.12 fuse two convolutions with what stands between them. With bfloat16 between them the result
    is wrong for some numbers of channels, even NaN. The barrier keeps them apart; without it the type alone would
    change nothing, since XLA's CPU backend multiplies in float32 anyway.

    Args:
        images: of any type; all but bfloat16 are left to XLA.
        kernel: of the same type.
        strides: as for `jax.lax.conv_general_dilated`, like all other arguments.
        padding: as there.
        **others: as there.
    """
    if images.dtype != jnp.bfloat16 or others.get("preferred_element_type") is not None:
        return jax.lax.conv_general_dilated(images, kernel, strides, padding, **others)
    wide = images.astype(jnp.float32), kernel.astype(jnp.float32)
    products = jax.lax.conv_general_dilated(*wide, strides, padding, **others)
    return jax.lax.optimization_barrier(products).astype(jnp.bfloat16)


def _on_cpu(
    trained_images: int, images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Any, **others: Any
) -> jax.Array:
    if not _is_plain(images, kernel, padding, others):
        return widened(images, kernel, strides, padding, **others)
    strides = strides[0], strides[1]
    positions = math.prod(_out_sizes(images, strides))
    height, width, channels, out_channels = kernel.shape
    if images.dtype == jnp.float32 and trained_images * positions >= _LEAST_POSITIONS:
        if height == width == 1:
            return by_pixels(images, kernel, strides)
        part = _images_a_part(len(images)) if math.prod(images.shape[1:3]) >= _LEAST_PIXELS else None
        if part and _fills(channels, out_channels):
            return by_parts(images, kernel, strides, part)
        if width > 1 and height * images.shape[2] * channels * out_channels <= _MOST_PRODUCTS:
            return by_rows(images, kernel, strides)
        if part and channels * out_channels > _FEW_PRODUCTS:
            return by_parts(images, kernel, strides, part)
    return widened(images, kernel, strides, padding, **others)


def _is_plain(images: jax.Array, kernel: jax.Array, padding: Any, others: Mapping[str, Any]) -> bool:
    """Returns True for a convolution that this module can compute: of images, with SAME padding and no other options.

    Every other argument must have a value without effect. So an unknown argument falls back to XLA's convolution
    instead of being ignored.
    """
    if images.ndim != 4 or padding != "SAME" or others.get("dimension_numbers") is None:
        return False
    numbers = jax.lax.conv_dimension_numbers(images.shape, kernel.shape, others["dimension_numbers"])
    return numbers == _OF_IMAGES and all(_changes_nothing(*one) for one in others.items())


def _changes_nothing(name: str, value: Any) -> bool:
    if name == "dimension_numbers":
        return True  # Compared above.
    if name in ("lhs_dilation", "rhs_dilation"):
        return value is None or all(step == 1 for step in value)
    if name in ("feature_group_count", "batch_group_count"):
        return bool(value == 1)
    return value is None


def by_pixels(images: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """Returns the convolution with a filter of one pixel: a matrix product of pixels and filter."""
    picked = images[:, :: strides[0], :: strides[1]]
    return jnp.dot(picked, kernel[0, 0])


def by_rows(images: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """Returns the convolution as a matrix product of the images' rows and a banded matrix.

    Args:
        images: [batch, height, width, channels].
        kernel: [filter height, filter width, channels, output channels].
        strides: of rows and of columns.

    Returns:
        [batch, height / stride, width / stride, output channels], rounded up: SAME padding.
    """
    filter_height, filter_width, channels, out_channels = kernel.shape
    batch, _, width, _ = images.shape
    out_height, out_width = _out_sizes(images, strides)
    row_padding, (before, _) = jax.lax.padtype_to_pads(
        images.shape[1:3], (filter_height, filter_width), strides, "SAME"
    )
    column = np.arange(width)[:, None] + before - strides[1] * np.arange(out_width)
    # 1 where a tap of the filter, a column of the image and a column of the output meet.
    meet = (np.arange(filter_width)[:, None, None] == column).astype(np.float32)
    band = jnp.einsum("ijcf,jwo->iwcof", kernel, meet)
    padded = jnp.pad(images, ((0, 0), row_padding, (0, 0), (0, 0)))
    rows = padded.reshape(batch, -1, width * channels)
    last = strides[0] * (out_height - 1) + 1
    taps = [rows[:, tap : tap + last : strides[0]] for tap in range(filter_height)]
    stacked = jnp.concatenate(taps, axis=-1)
    products = jnp.dot(stacked, band.reshape(filter_height * width * channels, out_width * out_channels))
    return products.reshape(batch, out_height, out_width, out_channels)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def by_parts(images: jax.Array, kernel: jax.Array, strides: tuple[int, int], part: int) -> jax.Array:
    """Returns XLA's convolution, with a gradient of the kernel that is summed over parts of the batch.

    Few channels are filled up with zeros for the convolution, but for neither gradient.

    Args:
        images: [batch, height, width, channels].
        kernel: [filter height, filter width, channels, output channels].
        strides: of rows and of columns.
        part: images a part; divides the batch.
    """
    channels, out_channels = kernel.shape[2:]
    if not _fills(channels, out_channels):
        return _convolved(images, kernel, strides)
    more = _FILLED_CHANNELS - channels if channels == _MOST_FILLED_CHANNELS else 0
    filled = jnp.pad(kernel, ((0, 0), (0, 0), (0, more), (0, _FILLED_OUT_CHANNELS - out_channels)))
    images = jnp.pad(images, ((0, 0), (0, 0), (0, 0), (0, more)))
    return _convolved(images, filled, strides)[..., :out_channels]


def _fills(channels: int, out_channels: int) -> bool:
    few = channels <= _MOST_FILLED_CHANNELS and out_channels <= _FILLED_OUT_CHANNELS
    return few and channels * out_channels >= _LEAST_FILLED_PRODUCTS


def _convolved(images: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    return jax.lax.conv_general_dilated(images, kernel, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_parts_forward(
    images: jax.Array, kernel: jax.Array, strides: tuple[int, int], part: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return by_parts(images, kernel, strides, part), (images, kernel)


def _by_parts_backward(
    strides: tuple[int, int], part: int, kept: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernel = kept
    if _has_phases(images, kernel, strides):
        of_images = _by_phases(kernel, gradient)
    else:
        (of_images,) = jax.vjp(lambda images: _convolved(images, kernel, strides), images)[1](gradient)
    of_kernel = jnp.zeros_like(kernel)
    for first in range(0, len(images), part):
        few = images[first : first + part]
        _, of_few = jax.vjp(lambda kernel, few=few: _convolved(few, kernel, strides), kernel)
        of_kernel += of_few(gradient[first : first + part])[0]
    return of_images, of_kernel


by_parts.defvjp(_by_parts_forward, _by_parts_backward)


def _has_phases(images: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> bool:
    _, height, width, channels = images.shape
    even = height % 2 == width % 2 == 0
    return even and kernel.shape[:2] == (3, 3) and strides == (2, 2) and channels <= _MOST_PHASED_CHANNELS


def _by_phases(kernel: jax.Array, gradient: jax.Array) -> jax.Array:
    """Returns the gradient of the images of a 3 x 3 convolution with strides of 2 over even heights and widths.

    Pixels in even and odd rows and columns depend on different taps of the filter. One convolution of stride 1 gives
    all four kinds as channels.
    """
    _, _, channels, out_channels = kernel.shape
    batch, height, width, _ = gradient.shape
    # [row before or same, odd row, column before or same, odd column, ...]; the fourth tap is zero.
    taps = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(2, 2, 2, 2, channels, out_channels)[::-1, :, ::-1]
    phased = taps.transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, out_channels, 4 * channels)
    pixels = jax.lax.conv_general_dilated(
        gradient, phased, (1, 1), [(1, 0), (1, 0)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    by_row = pixels.reshape(batch, height, width, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return by_row.reshape(batch, 2 * height, 2 * width, channels)


def _images_a_part(batch: int) -> int | None:
    """Returns the largest divisor of the batch up to 12, None if it is too small to be of use."""
    part = max(size for size in range(1, _MOST_IMAGES_A_PART + 1) if batch % size == 0)
    return part if _LEAST_IMAGES_A_PART <= part < batch else None


def _out_sizes(images: jax.Array, strides: tuple[int, int]) -> tuple[int, int]:
    return -(-images.shape[1] // strides[0]), -(-images.shape[2] // strides[1])
