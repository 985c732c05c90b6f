"""The data sets in this package: `digits` and `fashion_mini`, each with its licence beside it."""

from __future__ import annotations

import io
import lzma
from collections.abc import Callable
from importlib import resources

import numpy as np

from jaxevo.data.dataset import Dataset, make_dataset

DIGITS_TEST_IMAGES = 360


def load_digits() -> Dataset:
    """Returns 1,797 handwritten digits, 8 x 8 x 1; the last 360 of a fixed shuffle are the test split.

    They are the test set of UCI's Optical Recognition of Handwritten Digits, as scikit-learn ships it. Their grey
    levels 0 to 16 become 0 to 255 (x * 255 / 16, rounded), so that all levels stay distinct.
    `experiments/make_digits.py` made the file.
    """
    arrays = _unpacked("digits.npz.xz")
    labels = arrays["labels"]
    # The stream of RandomState is frozen, unlike that of Generator, so every NumPy shuffles the same way.
    order = np.random.RandomState(0).permutation(len(labels))
    images = np.rint(arrays["levels"][order][..., None] * 255.0 / 16).astype(np.uint8)
    labels = labels[order]
    cut = len(labels) - DIGITS_TEST_IMAGES
    return make_dataset("digits", (images[:cut], labels[:cut]), (images[cut:], labels[cut:]))


def load_fashion_mini() -> Dataset:
    """Returns 6,000 train and 1,000 test images of Fashion-MNIST, 28 x 28 x 1, the same number of each class.

    They are the first of each class, with the classes in turn, so every ten images in a row hold all classes.
    `experiments/make_fashion_mini.py` made the file.
    """
    arrays = _unpacked("fashion_mini.npz.xz")
    train = arrays["train_images"], arrays["train_labels"]
    test = arrays["test_images"], arrays["test_labels"]
    return make_dataset("fashion_mini", train, test, arrays["class_names"].tolist())


def _unpacked(file_name: str) -> dict[str, np.ndarray]:
    packed = resources.files("jaxevo.data").joinpath("assets", file_name).read_bytes()
    with np.load(io.BytesIO(lzma.decompress(packed)), allow_pickle=False) as archive:
        return dict(archive)


EMBEDDED: dict[str, Callable[[], Dataset]] = {"digits": load_digits, "fashion_mini": load_fashion_mini}
