"""Checks of a data set. A failure names the array, what was given and what to give instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_TRAIN_IMAGES = 10
_UNLIKELY = 1e-6


def check_images(array_name: str, images: np.ndarray) -> np.ndarray:
    """Returns images as uint8 `[N, H, W, C]`; grey images `[N, H, W]` get one channel.

    Raises:
        ValueError: if the dtype is not uint8, the shape does not fit, or any length is 0.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(f"{array_name}: dtype is {images.dtype}; give uint8 pixels, 0 to 255")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"{array_name}: shape is {images.shape}; give [images, height, width, channels], or "
            "[images, height, width] for grey ones, no length 0"
        )
    return images


def check_same_image_shape(train_images: np.ndarray, test_images: np.ndarray) -> None:
    """Raises ValueError if test images `[M, H, W, C]` and train images `[N, H, W, C]` differ in H, W or C."""
    if train_images.shape[1:] != test_images.shape[1:]:
        raise ValueError(
            f"test_images: height, width, channels are {test_images.shape[1:]}, but "
            f"{train_images.shape[1:]} in train_images; give all images the same shape"
        )


def check_train_size(train_images: np.ndarray) -> None:
    """Raises ValueError if there are too few images `[N, ...]` to cut off a validation split."""
    if len(train_images) < MIN_TRAIN_IMAGES:
        raise ValueError(
            f"train_images: {len(train_images)} images are too few to hold out a tenth for validation; "
            f"give at least {MIN_TRAIN_IMAGES}"
        )


def check_class_names(class_names: Sequence[str] | None, train_labels: np.ndarray) -> tuple[str, ...]:
    """Returns the class names by label; None names each class by its number, up to the largest train label.

    Raises:
        ValueError: if there are fewer than two or one is not text.
    """
    if class_names is None:
        labels = _check_integers("train_labels", train_labels)
        largest = int(labels.max()) if labels.size else -1
        if largest >= labels.size > 0:
            raise ValueError(
                f"train_labels: label {largest} at index {labels.argmax()} is too large: {labels.size} images "
                "cannot have so many classes; give labels counted from 0, without gaps"
            )
        class_names = [str(label) for label in range(largest + 1)]
    names = tuple(class_names)
    odd = [name for name in names if not isinstance(name, str)]
    if odd:
        raise ValueError(f"class_names: {odd[0]!r} is not text; give one text per class, in order of the labels")
    if len(names) < 2:
        raise ValueError(f"class_names: the number of classes is {len(names)}; give images of at least 2 classes")
    return names


def check_labels(array_name: str, labels: np.ndarray, num_images: int, num_classes: int) -> np.ndarray:
    """Returns labels as int32 `[num_images]`, all in `[0, num_classes)`.

    Raises:
        ValueError: if they are not integers, not one per image, or out of range.
    """
    labels = _check_integers(array_name, labels)
    if labels.shape != (num_images,):
        raise ValueError(f"{array_name}: shape is {labels.shape}; give one label per image, [{num_images}]")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        raise ValueError(
            f"{array_name}: label {labels[outside[0]]} at index {outside[0]} is out of range; "
            f"with {num_classes} classes give labels from 0 to {num_classes - 1}"
        )
    return labels.astype(np.int32)


def check_shuffled(train_labels: np.ndarray) -> None:
    """Raises ValueError if labels `[N]` are sorted or grouped: the end of train, for validation, would lack classes."""
    steps = np.diff(train_labels)
    if np.all(steps >= 0) or np.all(steps <= 0) or _has_a_run_that_no_shuffle_gives(train_labels):
        raise ValueError(
            "train_labels: the images are sorted or grouped by class, so the validation split, which is the end of "
            "train, would lack classes; give them in shuffled order"
        )


def _has_a_run_that_no_shuffle_gives(labels: np.ndarray) -> bool:
    """Returns True if so many equal labels follow each other as in fewer than one shuffle in a million."""
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    lengths = np.diff(starts, append=len(labels))
    shares = np.bincount(labels)[labels[starts]] / len(labels)
    # Times the number of labels, since a run may begin at each of them.
    return bool(np.any(len(labels) * shares**lengths < _UNLIKELY))


def check_every_class_has_images(train_labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Raises ValueError if a class has no label among `[N]`, the labels left after the validation cut."""
    empty = np.flatnonzero(np.bincount(train_labels, minlength=len(class_names)) == 0)
    if empty.size:
        raise ValueError(
            f"train_labels: class {empty[0]} ({class_names[empty[0]]!r}) has no image to train on (the end "
            "of train is held out for validation); give every class images, in shuffled order, with labels "
            "counted from 0"
        )


def _check_integers(array_name: str, labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{array_name}: dtype is {labels.dtype}; give integers, one per image")
    return labels
