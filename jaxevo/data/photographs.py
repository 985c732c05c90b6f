"""Load a data set from a folder of image files."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxevo.data import splits
from jaxevo.data.cache import data_entry, read_arrays, try_to_write
from jaxevo.data.dataset import Arrays, Dataset, make_dataset
from jaxevo.data.folders import Found, find_images
from jaxevo.data.images import ImageSize, Picture, UnreadableImageError, check_memory, read_pixels
from jaxevo.data.pixels import eight_bits

_HELD_OUT_EVERY = 6
_FIRST_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
"""Endings of the files whose folders are cut by their names."""
_PROGRESS_SECONDS = 5.0
_NAMED = 3

Tell = Callable[[str], None]
Labelled = tuple[Picture, int]


def load_folder(path: Path, size: ImageSize | None = None, tell: Tell = lambda _: None) -> Dataset:
    """Loads the images that `folders.find_images` finds.

    If all are grey they have one channel, else three; transparency is dropped, EXIF orientations are applied, 16-bit
    pixels are scaled. In a folder without splits of images of 8 bits, right in their class folders, every sixth by the
    sha256 of `CLASS/FILE` is a test image, and the same hash orders the images, if every class then has images to train
    on. Otherwise `make_dataset` cuts.

    Args:
        path: of the folder.
        size: height and width to resize all images to (antialiased bilinear, stretched), or None if they are of one.
        tell: receives the progress.

    Raises:
        ValueError: if no two classes have images, images are damaged or too large, or sizes differ without `size`.
    """
    found = find_images(path)
    given = {split: found.pictures(split) for split in found.splits}
    every = [picture for pictures in given.values() for picture, _ in pictures]
    size = size or _one_size(every)
    by_name = size == every[0].size and _may_be_cut_by_name(found, every)
    held = _held_out_by_name(found, given["train"]) if by_name and len(given) == 1 else None
    if held is not None:
        left = [one for one in given["train"] if one not in held]
        given = {"train": left, "test": [one for one in given["train"] if one in held]}
        every = [picture for pictures in given.values() for picture, _ in pictures]
    images, changes = _read(path, every, size, tell)
    arrays: dict[str, Arrays] = {}
    first = 0
    for split, pictures in given.items():
        labels = np.array([label for _, label in pictures], np.int32)
        arrays[split] = images[first : first + len(labels)], labels
        first += len(labels)
    return make_dataset(
        path.resolve().name,
        arrays["train"],
        arrays.get("test"),
        found.class_names,
        validation_split=arrays.get("validation"),
        said=[*found.said, *changes],
        cut_at_end=by_name,
    )


def _one_size(pictures: Sequence[Picture]) -> ImageSize:
    """Returns the size of all images; raises ValueError if they have several."""
    sizes: dict[ImageSize, list[Picture]] = {}
    for picture in pictures:
        sizes.setdefault(picture.size, []).append(picture)
    if len(sizes) == 1:
        return pictures[0].size
    ranked = sorted(sizes, key=lambda one: (-len(sizes[one]), one))
    named = [f"{one[0]}x{one[1]} ({len(sizes[one]):,}, such as {str(sizes[one][0].path)!r})" for one in ranked[:_NAMED]]
    more = f" and {len(ranked) - _NAMED} more" if len(ranked) > _NAMED else ""
    raise ValueError(
        f"dataset: the images have {len(sizes)} sizes, height x width: {', '.join(named)}{more}; give --image-size, "
        f"such as --image-size {min(ranked)[0]}x{min(ranked)[1]}, to resize all to one"
    )


def _may_be_cut_by_name(found: Found, pictures: Sequence[Picture]) -> bool:
    usual = all(one.path.suffix.lower() in _FIRST_SUFFIXES and not one.deep and not one.turned for one in pictures)
    return found.plain and usual


def _held_out_by_name(found: Found, train: Sequence[Labelled]) -> set[Labelled] | None:
    """Returns the test images by their names, None if a class would lack images to train on."""
    held = set()
    for label in range(len(found.class_names)):
        ordered = [one for one in train if one[1] == label]
        if len(ordered) < 2:
            return None
        held |= set(ordered[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY] or ordered[-1:])
    left = np.array([one[1] for one in train if one not in held], np.int32)
    return held if splits.ends_in_a_sample(left, len(found.class_names)) else None


def _read(path: Path, pictures: Sequence[Picture], size: ImageSize, tell: Tell) -> tuple[np.ndarray, list[str]]:
    """Returns the pixels `[N, H, W, C]` in the order of the files, and a sentence for each change."""
    resized = sum(picture.size != size for picture in pictures)
    deep = sum(picture.deep for picture in pictures)
    grey = all(picture.grey for picture in pictures)
    said = []
    if resized:
        said.append(f"{resized:,} of {len(pictures):,} images are resized to {size[0]}x{size[1]}, stretched")
    if 0 < deep < len(pictures) or (deep and not grey):
        deeper = f"{deep:,} of {len(pictures):,} images have 16 bits"
        said.append(f"{deeper}: in each with a pixel above 255, 65535 becomes 255")
    bytes_a_pixel = 4 if deep == len(pictures) else 1 if grey else 3
    check_memory(str(path), len(pictures) * size[0] * size[1] * bytes_a_pixel)
    if not resized:
        return _decoded(pictures, size, grey, deep, tell), said
    entry, key = data_entry(path.name, f"{path.resolve()}\n{size}"), _key(pictures, size)
    arrays = read_arrays(entry, lambda found: bool(found == key))
    if arrays is None:
        arrays = {"images": _decoded(pictures, size, grey, deep, tell)}
        try_to_write(entry, key, arrays)
    return arrays["images"], said


def _decoded(pictures: Sequence[Picture], size: ImageSize, grey: bool, deep: int, tell: Tell) -> np.ndarray:
    all_deep = deep == len(pictures)
    dtype = min(picture.dtype for picture in pictures) if all_deep else "uint8"
    images = np.empty((len(pictures), *size, 1 if grey else 3), dtype)
    told = time.monotonic()
    for number, picture in enumerate(pictures):
        try:
            pixels = read_pixels(picture, grey, size)
        except UnreadableImageError as error:
            raise ValueError(
                f"dataset: {str(picture.path)!r} is not a readable image ({error}); repair or remove it"
            ) from error
        if picture.deep and not all_deep:
            pixels = eight_bits(f"dataset: {str(picture.path)!r}", pixels)
        images[number] = pixels[..., None] if pixels.ndim == 2 else pixels
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            tell(f"read {number + 1:,} of {len(pictures):,} images")
    return images


def _key(pictures: Sequence[Picture], size: ImageSize) -> dict[str, Any]:
    """Returns the key of cached pixels: every file with its size and time."""
    digest = hashlib.sha256()
    for picture in pictures:
        status = picture.path.stat()
        digest.update(f"{picture.path!r} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {"format": 2, "files": digest.hexdigest(), "size": list(size)}
