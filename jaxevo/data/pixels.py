"""Read images of the usual kinds as uint8 `[N, H, W, C]`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_UINT8 = np.dtype(np.uint8)
_CHANNELS = (1, 3, 4)
_PIECE = 1024
_SIXTEEN_BITS = 65535
_ROUNDING = 1e-6
"""How far above 1 a float image may reach that was meant to end there."""


@dataclass(frozen=True)
class Pixels:
    """How images become uint8, decided by the training images and the same for every split.

    Attributes:
        dtype: of the training images.
        factor: by which pixels are multiplied before they are rounded; one below 1 leaves uint8 as it is.
        largest: largest pixel that may be given; larger ones are an error, or are cut if `cut`.
        cut: True if larger pixels become 255.
    """

    dtype: np.dtype = _UINT8
    factor: float = 1.0
    largest: float = 255.0
    cut: bool = False

    def convert(self, array_name: str, images: np.ndarray) -> np.ndarray:
        """Returns images as uint8 `[N, H, W, C]`; grey images `[N, H, W]` get one channel, first channels become last.

        Raises:
            ValueError: if the shape does not fit, a pixel is out of range, or fractions or truth values of 0 to 1 are
                given where the training images had a wider range.
        """
        images = check_image_axes(array_name, np.asarray(images))
        if self.largest > 1 and self._ends_at_1(images):
            raise ValueError(
                f"{array_name}: {images.dtype} of 0 to 1 is given, but the training images are {self.dtype} of 0 to "
                f"{self.largest:g}; give all images the same range"
            )
        if _channels_first(images.shape):
            images = np.moveaxis(images, 1, -1)
        if images.ndim == 3:
            images = images[..., None]
        if images.dtype == np.uint8 and self.factor <= 1:
            return images
        converted = np.empty(images.shape, np.uint8)
        for first in range(0, len(images), _PIECE):
            converted[first : first + _PIECE] = self._piece(array_name, images[first : first + _PIECE])
        return converted

    def _ends_at_1(self, images: np.ndarray) -> bool:
        """Returns True for truth values, and for floats of 0 to 1 that are no dark images of 0 to 255."""
        if images.dtype.kind not in "fb" or images.min() < 0 or not 0 < images.max() <= 1 + _ROUNDING:
            return False
        return images.dtype.kind == "b" or self.dtype.kind != "f" or bool((images != np.rint(images)).any())

    def _piece(self, array_name: str, images: np.ndarray) -> np.ndarray:
        low, high = _range(array_name, images)
        if low < 0 or (high > self.largest * (1 + _ROUNDING) and not self.cut):
            raise ValueError(
                f"{array_name}: pixels are {low:g} to {high:g}, but must be 0 to {self.largest:g}, as train_images "
                "are read; give all images the same range"
            )
        return np.rint(np.clip(images.astype(np.float64) * self.factor, 0, 255)).astype(np.uint8)


PLAIN = Pixels()
"""The reading of uint8 images `[N, H, W, C]` or `[N, H, W]`."""


def pixels_of(array_name: str, images: np.ndarray) -> tuple[Pixels, list[str]]:
    """Returns how the training images are to be read, and a sentence for each change.

    uint8 stays. Wider integers stay up to 255; above, they are scaled linearly, 0 to 0 and the maximum to 255. Floats
    in 0 to 1 are multiplied by 255, in 0 to 255 rounded. Channels come last; three axes `[N, C, H, W]` with 1, 3 or 4
    channels first are noticed.

    Raises:
        ValueError: if the shape is not that of images, or the pixels are negative, not finite, or floats above 255.
    """
    images = check_image_axes(array_name, np.asarray(images))
    said = []
    if _channels_first(images.shape):
        shape = ", ".join(map(str, images.shape[1:]))
        said.append(f"images are given with channels first ({shape}): they are moved last")
    if images.dtype == np.uint8:
        return PLAIN, said
    dtype = images.dtype
    low, high = _range(array_name, images)
    if low < 0 or (dtype.kind == "f" and high > 255):
        raise ValueError(
            f"{array_name}: {dtype} pixels are {low:g} to {high:g}; give uint8, integers from 0, or floats of "
            "0 to 1 or 0 to 255, not normalised"
        )
    if dtype.kind == "b" or (dtype.kind == "f" and high <= 1 + _ROUNDING):
        return Pixels(dtype, 255.0, 1.0), [*said, f"{dtype} pixels of 0 to 1 are multiplied by 255 and rounded"]
    if high <= 255:
        changed = "rounded" if dtype.kind == "f" else "taken as they are"
        return Pixels(dtype), [*said, f"{dtype} pixels of {low:g} to {high:g} are {changed}"]
    scaled = f"{dtype} pixels are scaled linearly: 0 to 0, and {high:g}, the largest of the training images, to 255"
    return Pixels(dtype, 255.0 / high, float(high), cut=True), [*said, scaled]


def eight_bits(name: str, pixels: np.ndarray) -> np.ndarray:
    """Returns the pixels of one picture of more than 8 bits, among those of 8, as uint8 of the same shape.

    Floats of at most 1 are multiplied by 255. Other pixels stay, rounded, up to 255; above, 65535 becomes 255.

    Raises:
        ValueError: if a pixel is below 0 or above 65535; the message begins with the name.
    """
    low, high = _range(name, pixels)
    if low < 0 or high > _SIXTEEN_BITS:
        raise ValueError(f"{name} has pixels of {low:g} to {high:g}; save it with 8 or 16 bits a channel")
    fractions = pixels.dtype.kind == "f" and high <= 1 + _ROUNDING
    factor = 255.0 if fractions else 1.0 if high <= 255 else 255.0 / _SIXTEEN_BITS
    return np.rint(pixels * factor).astype(np.uint8)


def check_image_axes(array_name: str, images: np.ndarray) -> np.ndarray:
    """Returns the images; raises ValueError unless they are numbers `[N, H, W, C]` or `[N, H, W]`, no length 0."""
    if images.dtype.kind not in "buif":
        raise ValueError(f"{array_name}: dtype is {images.dtype}; give uint8 pixels, 0 to 255")
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            f"{array_name}: shape is {images.shape}; give [images, height, width, channels], or "
            "[images, height, width] for grey ones, no length 0"
        )
    return images


def image_shape_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns height, width and channels of images given in some shape."""
    if _channels_first(shape):
        return (*shape[2:], shape[1])
    return (*shape[1:], 1) if len(shape) == 3 else shape[1:]


def _channels_first(shape: tuple[int, ...]) -> bool:
    if len(shape) != 4:
        return False
    _, first, height, width = shape
    return first in _CHANNELS and min(height, width) > max(_CHANNELS)


def _range(array_name: str, images: np.ndarray) -> tuple[float, float]:
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{array_name}: a pixel is not a finite number; give uint8 pixels, 0 to 255")
    return low, high
