"""Image files: read their headers and pixels with Pillow, and resize."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ImageSize = tuple[int, int]
"""Height and width in pixels."""

_DEEP = dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N", "I"), "int32") | {"F": "float32"}
_GREY = frozenset({"1", "L", *_DEEP})
_WIDTH, _HEIGHT, _ORIENTATION = 0x0100, 0x0101, 0x0112
_TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange height and width."""
_MEMORY_PART = 0.8


@dataclass(frozen=True)
class Picture:
    """The header of an image file.

    Attributes:
        path: of the file.
        name: `CLASS/FILE`, with the folders between.
        size: height and width, after its EXIF orientation.
        grey: True if it has one channel.
        dtype: of its pixels: uint8, or int32 or float32 if they have more than 8 bits.
        turned: True if its EXIF orientation changes it.
    """

    path: Path
    name: str
    size: ImageSize
    grey: bool
    dtype: str
    turned: bool

    @property
    def deep(self) -> bool:
        """True if its pixels have more than 8 bits."""
        return self.dtype != "uint8"


class UnreadableImageError(ValueError):
    """A file that should be an image cannot be read; the message says why."""


def image_size_of(text: str) -> ImageSize:
    """Returns height and width of text such as `64x48`.

    Raises:
        ValueError: if the text is not of this form.
    """
    found = re.fullmatch(r"\s*(\d{1,5})\s*[xX\u00d7]\s*(\d{1,5})\s*", text)
    if found is None or 0 in (int(found[1]), int(found[2])):
        raise ValueError(f"image_size is {text!r}, but must be HEIGHTxWIDTH in pixels, such as 32x32")
    return int(found[1]), int(found[2])


def image_suffixes() -> frozenset[str]:
    """Returns the endings, in lower case, of files that Pillow reads as images."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def read_header(path: Path, name: str = "") -> Picture:
    """Returns the header of an image file of any format that Pillow reads, whatever its ending.

    Args:
        path: of the file.
        name: `CLASS/FILE`, as far as it matters.

    Raises:
        UnreadableImageError: if it is not an image, damaged, or larger than Pillow's limit.
    """
    try:
        with Image.open(path) as picture:
            tags = picture.getexif()
            orientation = tags.get(_ORIENTATION, 1)
            width, height = picture.size
            if picture.format == "TIFF":  # Newer versions of Pillow have exchanged them already.
                width, height = tags.get(_WIDTH, width), tags.get(_HEIGHT, height)
            mode = picture.mode
    except Exception as error:  # Pillow's readers raise many exception types for damaged files.
        raise UnreadableImageError(_reason(error)) from error
    size = (width, height) if orientation in _TURNED else (height, width)
    return Picture(path, name, size, mode in _GREY, _DEEP.get(mode, "uint8"), orientation in range(2, 9))


def read_pixels(picture: Picture, grey: bool, size: ImageSize | None) -> np.ndarray:
    """Returns the pixels of an image file: `[H, W]` if grey or deep, else uint8 `[H, W, 3]`.

    The first frame is taken, the EXIF orientation applied, and transparency dropped. Deep pixels keep their type.

    Raises:
        UnreadableImageError: if the file is damaged.
    """
    try:
        with Image.open(picture.path) as opened:
            upright = ImageOps.exif_transpose(opened)
            upright.load()
            if picture.deep:
                converted = upright if upright.mode in ("I", "F") else upright.convert("I")
            else:
                converted = upright.convert("L" if grey else "RGB")
            if size is not None and picture.size != size:
                converted = converted.resize(size[::-1], Image.Resampling.BILINEAR)
            return np.asarray(converted)
    except Exception as error:
        raise UnreadableImageError(_reason(error)) from error


def resize(images: np.ndarray, size: ImageSize | None) -> np.ndarray:
    """Returns images `[N, H, W, C]`, `[N, C, H, W]` or `[N, H, W]` in another height and width, in the same dtype.

    Antialiased bilinear interpolation, channel by channel; images are stretched. None leaves them as they are.
    """
    from jaxevo.data.pixels import image_shape_of

    images = np.asarray(images)
    if size is None or image_shape_of(images.shape)[:2] == size:
        return images
    first = image_shape_of(images.shape) != images.shape[1:] and images.ndim == 4
    last = np.moveaxis(images, 1, -1) if first else images.reshape(*images.shape[:3], -1)
    check_memory(f"image_size {size[0]}x{size[1]}", len(last) * size[0] * size[1] * last.shape[-1] * images.itemsize)
    resized = np.empty((len(last), *size, last.shape[-1]), images.dtype)
    for number, image in enumerate(last):
        for channel in range(last.shape[-1]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel], _plane_type(images.dtype)))
            pixels = np.asarray(plane.resize(size[::-1], Image.Resampling.BILINEAR))
            resized[number, ..., channel] = pixels if images.dtype.kind == "f" else np.rint(pixels)
    return resized if images.ndim == 4 else resized[..., 0]


def check_memory(name: str, number_of_bytes: int) -> None:
    """Raises ValueError if arrays of this size do not fit in the machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if number_of_bytes > _MEMORY_PART * memory:
        raise ValueError(
            f"dataset: the images of {name!r} take {number_of_bytes / 1e9:,.1f} GB, and this machine has "
            f"{memory / 1e9:,.1f} GB of memory; give fewer or smaller ones, such as with --image-size 32x32"
        )


def _plane_type(dtype: np.dtype[np.generic]) -> type[np.generic]:
    return np.uint8 if dtype == np.uint8 else np.float32


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"it has more pixels than Pillow's limit against decompression bombs, {limit:,}"
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror
    return "it is not an image that Pillow reads, or is damaged" if "cannot identify" in str(error) else str(error)
