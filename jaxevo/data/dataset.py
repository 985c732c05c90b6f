"""The data set: three splits of labelled images, read and checked once and then immutable."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jaxevo.data import notices, splits
from jaxevo.data.augmentation import augmentation_for
from jaxevo.data.checks import check_same_image_shape
from jaxevo.data.labels import Labelled, read_labels
from jaxevo.data.pixels import PLAIN, Pixels, image_shape_of, pixels_of
from jaxevo.search.space import Task

Arrays = tuple[np.ndarray, np.ndarray]
"""Images and labels of a split, as given."""


class Split(NamedTuple):
    """Images and their labels.

    Attributes:
        images: uint8 `[N, H, W, C]`.
        labels: int32 `[N]`, in `[0, num_classes)`.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in three splits. Training sees `train`, selection sees `validation`, neither sees `test`.

    Attributes:
        name: name or path that it was loaded by, without folders.
        train: images to train on.
        validation: held out for fitness: the given split, or cut off the train images.
        test: held out from everything but reports.
        class_names: one per class, by label.
        crop_padding: zero pixels around a train image before a random crop back to its size; 0 for no crop.
        flip: True if a train image may be mirrored left to right.
        values: the given integer of each class if these were not 0, 1, ...; empty otherwise.
        pixels: how the given images became uint8.
        said: a sentence for all that was changed or left out when it was read.
        source: name or absolute path that it was loaded by.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    crop_padding: int
    flip: bool
    values: tuple[int, ...] = ()
    pixels: Pixels = PLAIN
    said: tuple[str, ...] = ()
    source: str = ""

    @property
    def num_classes(self) -> int:
        """The number of classes, at least 2."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width (pixels) and channels of every image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def task(self) -> Task:
        """The task that the images are."""
        return Task(self.image_shape, self.num_classes, len(self.validation.labels))

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
    def notices(self) -> tuple[str, ...]:
        """Sentences about what was changed, left out, rare, or the same in two splits."""
        return (*self.said, *notices.about(*self.train, *self.validation, *self.test, self.class_names))

    def as_given(self) -> Dataset:
        """Returns the data set with the integers that were given as labels, which classifiers take and return."""
        if not self.values:
            return self
        values = np.array(self.values, np.int64)
        given = self.mapped(lambda split: Split(split.images, _read_only(values[split.labels])))
        # Both are about classes by their numbers.
        vars(given).update(notices=self.notices, fingerprint=self.fingerprint)
        return given

    def mapped(self, change: Callable[[Split], Split]) -> Dataset:
        """Returns the data set with every split changed."""
        return dataclasses.replace(
            self, train=change(self.train), validation=change(self.validation), test=change(self.test)
        )

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
    train_split: Arrays,
    test_split: Arrays | None,
    class_names: Sequence[str] | None = None,
    crop_padding: int | None = None,
    flip: bool | None = None,
    validation_split: Arrays | None = None,
    said: Sequence[str] = (),
    cut_at_end: bool = True,
) -> Dataset:
    """Reads arrays of the usual kinds, and cuts the splits that are not given.

    Validation is 5,000 of 50,000 train images (as for CIFAR), else a tenth; test, if it is not given, a sixth.
    Validation is the end of train if the arrays are uint8 images and labels 0, 1, ... in shuffled order. Otherwise, and
    for test, `jaxevo.data.splits` cuts: every class gives its share, identical images stay together.

    Args:
        name: of the data set.
        train_split: images, see `pixels.pixels_of`, and labels, see `labels.read_labels`.
        test_split: the same, or None.
        class_names: by label; None names them by their labels.
        crop_padding: pixels; None for the default of this name and image shape.
        flip: True to mirror; None for the default of this name and image shape.
        validation_split: as `test_split`.
        said: sentences about what was changed or left out before.
        cut_at_end: False if validation must not be the end of train.

    Returns:
        The data set. Its arrays are read-only.

    Raises:
        ValueError: if an array's dtype, shape or values cannot be meant, or there are too few images to cut. The
            message names the array, what was given and what to give instead.
    """
    given = {"train": train_split, "validation": validation_split, "test": test_split}
    found = {split: arrays for split, arrays in given.items() if arrays is not None}
    images, pixels, changes = _read_images({split: arrays[0] for split, arrays in found.items()})
    sizes = {split: len(array) for split, array in images.items()}
    labelled = read_labels({split: arrays[1] for split, arrays in found.items()}, sizes, class_names)
    changes += labelled.said
    plain = cut_at_end and not changes and _plain_labels(train_split[1], labelled)
    ready = {split: Split(images[split], labelled.labels[split]) for split in images}
    changes += _cut(ready, len(labelled.class_names), plain)
    default_padding, default_flip = augmentation_for(name, ready["train"].images.shape[1:])
    return Dataset(
        name=name,
        train=_frozen(ready["train"]),
        validation=_frozen(ready["validation"]),
        test=_frozen(ready["test"]),
        class_names=labelled.class_names,
        crop_padding=default_padding if crop_padding is None else crop_padding,
        flip=default_flip if flip is None else flip,
        values=labelled.values,
        pixels=pixels,
        said=(*said, *changes),
    )


def _read_images(given: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Pixels, list[str]]:
    """Returns uint8 `[N, H, W, C]` by split, how they were read, and a sentence for each change."""
    arrays = {split: np.asarray(images) for split, images in given.items()}
    pixels, said = pixels_of("train_images", arrays["train"])
    train_shape = image_shape_of(arrays["train"].shape)
    for split, images in arrays.items():
        check_same_image_shape(f"{split}_images", image_shape_of(images.shape), train_shape)
        if pixels.factor < 1 and images.dtype == np.uint8:
            said.append(f"{split}_images are uint8: they are taken as they are")
    return {split: pixels.convert(f"{split}_images", images) for split, images in arrays.items()}, pixels, said


def _plain_labels(labels: np.ndarray, labelled: Labelled) -> bool:
    """Returns True if integers were given that number the classes from 0, one for each image."""
    given = np.asarray(labels)
    return given.ndim == 1 and given.dtype.kind in "ui" and not labelled.values


def _cut(ready: dict[str, Split], num_classes: int, plain: bool) -> list[str]:
    """Cuts the splits that are missing off train, in place; returns sentences about what cannot be expected."""
    if {"validation", "test"} <= ready.keys():
        return []
    train, said = ready["train"], []
    if plain and "test" in ready and splits.ends_in_a_sample(train.labels, num_classes):
        held = np.arange(len(train.labels)) >= len(train.labels) - splits.validation_size(len(train.labels))
        ready["train"], ready["validation"] = _divided(train, held)
        return []
    if splits.grouped(train.labels):
        said.append("the training images are sorted or grouped by class: they are shuffled, by their pixels")
    order = np.argsort(splits.image_hashes(train.images).view("S16"), kind="stable")
    train = Split(train.images[order], train.labels[order])
    if "test" not in ready:
        held = splits.cut_test(*train, num_classes)
        train, ready["test"] = _divided(train, held)
        said.append(f"no test split: {int(held.sum())} of {len(held)} images are held out as test")
    if "validation" not in ready:
        train, ready["validation"] = _divided(train, splits.cut_validation(*train, num_classes))
    ready["train"] = train
    return said


def _divided(split: Split, held: np.ndarray) -> tuple[Split, Split]:
    """Returns the images that are not held out, and those that are."""
    first = int(held.argmax())
    if held[first:].all():  # Views: a large set is not copied.
        return Split(split.images[:first], split.labels[:first]), Split(split.images[first:], split.labels[first:])
    return Split(split.images[~held], split.labels[~held]), Split(split.images[held], split.labels[held])


def _frozen(split: Split) -> Split:
    return Split(_read_only(split.images), _read_only(split.labels))


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
