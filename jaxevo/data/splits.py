"""Cut test and validation images off a data set, by the images alone.

Every cut depends on the data: images are ordered by their hash, every class gives its share, and identical images fall
into one split.
"""

from __future__ import annotations

import hashlib

import numpy as np

MIN_TRAIN_IMAGES = 10
"""Fewer images are never cut at their end."""

CIFAR_TRAIN_IMAGES = 50_000
CIFAR_VALIDATION_IMAGES = 5_000
_TEST_PART = 6
_UNLIKELY = 1e-6
_FEW = 3
"""From this many images on, a class gives at least one to a test split."""


def validation_size(number: int) -> int:
    """Returns how many of a number of training images are held out for validation: 5,000 of 50,000, else a tenth."""
    return CIFAR_VALIDATION_IMAGES if number == CIFAR_TRAIN_IMAGES else number // 10


def ends_in_a_sample(labels: np.ndarray, num_classes: int) -> bool:
    """Returns True if the last tenth of the images may be the validation split.

    They must be at least ten, shuffled, and every class must have images before the cut.

    Args:
        labels: classes `[N]` of the training images, in their order.
        num_classes: number of classes.
    """
    if len(labels) < MIN_TRAIN_IMAGES or grouped(labels):
        return False
    kept = labels[: len(labels) - validation_size(len(labels))]
    return bool(np.all(np.bincount(kept, minlength=num_classes) > 0))


def grouped(labels: np.ndarray) -> bool:
    """Returns True if classes `[N]` are sorted, or stand in groups that no shuffle gives."""
    steps = np.diff(labels)
    return bool(np.all(steps >= 0) or np.all(steps <= 0)) or _has_a_run_that_no_shuffle_gives(labels)


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Returns a hash of each image's bytes, `[N]` of 16 bytes, equal for equal images."""
    digests = [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]
    return np.array(digests, np.dtype("V16"))


def cut_test(images: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns a mask `[N]` of the images to hold out as test: of each class a sixth, of three images at least one."""
    quota = _quotas(labels, num_classes, len(labels) // _TEST_PART)
    counts = np.bincount(labels, minlength=num_classes)
    return _held_out(images, labels, np.maximum(quota, counts >= _FEW))


def cut_validation(images: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns a mask `[N]` of the images to hold out for validation: of each class a tenth.

    Each class of three images gives at least one if that takes no more than a fifth of all.
    """
    quota = _quotas(labels, num_classes, max(1, validation_size(len(labels))))
    at_least_one = np.maximum(quota, np.bincount(labels, minlength=num_classes) >= _FEW)
    return _held_out(images, labels, at_least_one if at_least_one.sum() <= len(labels) // 5 else quota)


def _quotas(labels: np.ndarray, num_classes: int, held_out: int) -> np.ndarray:
    """Returns how many images of each class to hold out: in proportion, by largest remainders."""
    shares = np.bincount(labels, minlength=num_classes) * held_out
    quota, rest = np.divmod(shares, len(labels))
    order = np.lexsort((np.arange(num_classes), -rest))
    quota[order[: held_out - int(quota.sum())]] += 1
    return quota


def _held_out(images: np.ndarray, labels: np.ndarray, quota: np.ndarray) -> np.ndarray:
    """Returns a mask of the images to hold out.

    Raises:
        ValueError: if there are too few different images to leave one of each class and hold one out.
    """
    hashes = image_hashes(images)
    order = np.argsort(hashes.view("S16"), kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], hashes[order][1:] != hashes[order][:-1])))
    groups = np.split(order, starts[1:])
    left = np.bincount(labels, minlength=len(quota))
    held = np.zeros(len(labels), bool)
    taken = np.zeros(len(quota), np.int64)
    for strict in (True, False):
        for group in groups:
            counts = np.bincount(labels[group], minlength=len(quota))
            fits = np.all(taken + counts <= quota) or not strict
            if fits and np.all(left[counts > 0] > counts[counts > 0]):
                held[group] = True
                left -= counts
                taken += counts
                if not strict:
                    return held
        if held.any():
            return held
    raise ValueError(
        f"train_images: {len(labels)} images, {len(groups)} of them different, are too few to train on one of every "
        "class and to hold one out; give more images"
    )


def _has_a_run_that_no_shuffle_gives(labels: np.ndarray) -> bool:
    """Returns True if so many equal labels follow each other as in fewer than one shuffle in a million."""
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    lengths = np.diff(starts, append=len(labels))
    shares = np.bincount(labels)[labels[starts]] / len(labels)
    # Times the number of labels, since a run may begin at each of them.
    return bool(np.any(len(labels) * shares**lengths < _UNLIKELY))
