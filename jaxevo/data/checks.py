"""Checks of arrays that must be as the data set holds them. A failure names the array, what was given and what to give.

`jaxevo.data.pixels` and `jaxevo.data.labels` read arrays of other kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxevo.data.pixels import check_image_axes


def check_images(array_name: str, images: np.ndarray) -> np.ndarray:
    """Returns images as uint8 `[N, H, W, C]`; grey images `[N, H, W]` get one channel.

    Raises:
        ValueError: if the dtype is not uint8, the shape does not fit, or any length is 0.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(f"{array_name}: dtype is {images.dtype}; give uint8 pixels, 0 to 255")
    images = check_image_axes(array_name, images)
    return images[..., None] if images.ndim == 3 else images


def check_same_image_shape(array_name: str, shape: tuple[int, ...], train_shape: tuple[int, ...]) -> None:
    """Raises ValueError if height, width and channels of another split differ from those of the training images."""
    if shape != train_shape:
        raise ValueError(
            f"{array_name}: height, width, channels are {shape}, but {train_shape} in train_images; give all images "
            "the same shape"
        )


def check_class_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns the class names.

    Raises:
        ValueError: if there are fewer than two, one is not text, or two are equal.
    """
    names = tuple(class_names)
    for label, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"class_names: {name!r} is not text; give one text per class, in order of the labels")
        if name in names[:label]:
            other = names.index(name)
            raise ValueError(f"class_names: {name!r} is the name of class {other} and {label}; give each its own name")
    if len(names) < 2:
        raise ValueError(f"class_names: the number of classes is {len(names)}; give images of at least 2 classes")
    return names


def check_labels(array_name: str, labels: np.ndarray, num_images: int, num_classes: int) -> np.ndarray:
    """Returns labels as int32 `[num_images]`, all in `[0, num_classes)`.

    Raises:
        ValueError: if they are not integers, not one per image, or out of range.
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{array_name}: dtype is {labels.dtype}; give integers, one per image")
    if labels.shape != (num_images,):
        raise ValueError(f"{array_name}: shape is {labels.shape}; give one label per image, [{num_images}]")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        raise ValueError(
            f"{array_name}: label {labels[outside[0]]} at index {outside[0]} is out of range; "
            f"with {num_classes} classes give labels from 0 to {num_classes - 1}"
        )
    return labels.astype(np.int32)
