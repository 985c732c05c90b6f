"""The data set: three splits of labelled images, checked once and then immutable."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jaxevo.data.augmentation import augmentation_for
from jaxevo.data.checks import (
    check_class_names,
    check_every_class_has_images,
    check_images,
    check_labels,
    check_same_image_shape,
    check_shuffled,
    check_train_size,
)

CIFAR_TRAIN_IMAGES = 50_000
CIFAR_VALIDATION_IMAGES = 5_000


class Split(NamedTuple):
    """Images and their labels: uint8 `[N, H, W, C]` and int32 `[N]`, labels in `[0, num_classes)`."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in three splits. Training sees `train`, selection sees `validation`, neither sees `test`.

    Attributes:
        name: name or path that it was loaded by, without folders.
        train: images to train on.
        validation: the end of the given train images, held out for fitness.
        test: held out from everything but reports.
        class_names: one per class, by label.
        crop_padding: zero pixels around a train image before a random crop back to its size; 0 for no crop.
        flip: True if a train image may be mirrored left to right.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    crop_padding: int
    flip: bool

    @property
    def num_classes(self) -> int:
        """The number of classes, at least 2."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width (pixels) and channels of every image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of all splits' shapes, dtypes and bytes and of the class names, but not of the name."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for array in split:
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(array.data)
        digest.update("\n".join(self.class_names).encode())
        return digest.hexdigest()

    def with_validation_in_training(self) -> Dataset:
        """Returns the data set with the validation images among the train images, normalised as before."""
        both = Split(*(np.concatenate(parts) for parts in zip(self.train, self.validation, strict=True)))
        joined = dataclasses.replace(self, train=both)
        vars(joined)["_moments"] = self._moments
        return joined

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of the train pixels / 255, float32 `[C]`."""
        return self._moments[0]

    @cached_property
    def std(self) -> np.ndarray:
        """Standard deviation of the train pixels / 255, float32 `[C]`; 1 for a constant channel."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        channels = [self.train.images[..., channel] for channel in range(self.image_shape[2])]
        pairs = np.array([_mean_and_std(channel) for channel in channels], np.float32)
        return pairs[:, 0], pairs[:, 1]


def make_dataset(
    name: str,
    train_split: tuple[np.ndarray, np.ndarray],
    test_split: tuple[np.ndarray, np.ndarray],
    class_names: Sequence[str] | None = None,
    crop_padding: int | None = None,
    flip: bool | None = None,
) -> Dataset:
    """Checks arrays and cuts the validation split off the end of train.

    Validation is 5,000 of 50,000 images (as for CIFAR), else a tenth, rounded down.

    Args:
        name: of the data set.
        train_split: images uint8 `[N, H, W, C]`, or `[N, H, W]` for grey ones, and labels `[N]` of any integer dtype;
            shuffled, at least 10.
        test_split: the same with another N, at least 1.
        class_names: by label; None names them `"0"`, `"1"`, ... up to the largest train label.
        crop_padding: pixels; None for the default of this name and image shape.
        flip: True to mirror; None for the default of this name and image shape.

    Returns:
        The data set. Its arrays are read-only.

    Raises:
        ValueError: if an array's dtype, shape or values do not fit, a class is empty, or train is too small, sorted or
            grouped by class. The message names the array, what was given and what to give instead.
    """
    train_images = check_images("train_images", train_split[0])
    test_images = check_images("test_images", test_split[0])
    check_same_image_shape(train_images, test_images)
    check_train_size(train_images)
    names = check_class_names(class_names, train_split[1])
    train_labels = check_labels("train_labels", train_split[1], len(train_images), len(names))
    test_labels = check_labels("test_labels", test_split[1], len(test_images), len(names))
    check_shuffled(train_labels)
    cut = len(train_images) - _num_validation_images(len(train_images))
    check_every_class_has_images(train_labels[:cut], names)
    default_padding, default_flip = augmentation_for(name, train_images.shape[1:])
    return Dataset(
        name=name,
        train=Split(_read_only(train_images[:cut]), _read_only(train_labels[:cut])),
        validation=Split(_read_only(train_images[cut:]), _read_only(train_labels[cut:])),
        test=Split(_read_only(test_images), _read_only(test_labels)),
        class_names=names,
        crop_padding=default_padding if crop_padding is None else crop_padding,
        flip=default_flip if flip is None else flip,
    )


def _num_validation_images(num_images: int) -> int:
    return CIFAR_VALIDATION_IMAGES if num_images == CIFAR_TRAIN_IMAGES else num_images // 10


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _mean_and_std(pixels: np.ndarray) -> tuple[float, float]:
    """Returns mean and standard deviation of pixels / 255, from integer sums: exact in any order of summing."""
    # In pieces, because bincount first converts each pixel to eight bytes.
    pieces = [pixels[start : start + 256].reshape(-1) for start in range(0, len(pixels), 256)]
    counts = np.sum([np.bincount(piece, minlength=256) for piece in pieces], axis=0).tolist()
    number = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    variance = (number * squares - total * total) / (number * 255) ** 2
    return total / (number * 255), variance**0.5 or 1.0
