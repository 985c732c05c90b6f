"""The data sets that need no download: `digits` comes with scikit-learn, `fashion_mini` with this package."""

from __future__ import annotations

import io
import lzma
from collections.abc import Callable
from importlib import resources

import numpy as np

from jaxevo.data.dataset import Dataset, make_dataset

DIGITS_TEST_IMAGES = 360


def load_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 x 1; the last 360 of a fixed shuffle are the test split.

    Their grey levels 0 to 16 become 0 to 255 (x * 255 / 16, rounded), which keeps them all apart.
    """
    from sklearn.datasets import load_digits as load_bunch  # Takes a second to import.

    images, labels = load_bunch(return_X_y=True)
    # The stream of RandomState is frozen, unlike that of Generator, so every NumPy shuffles the same way.
    order = np.random.RandomState(0).permutation(len(labels))
    images = np.rint(images.reshape(-1, 8, 8, 1)[order] * 255 / 16).astype(np.uint8)
    labels = labels[order]
    cut = len(labels) - DIGITS_TEST_IMAGES
    return make_dataset("digits", (images[:cut], labels[:cut]), (images[cut:], labels[cut:]))


def load_fashion_mini() -> Dataset:
    """6,000 train and 1,000 test images of Fashion-MNIST, 28 x 28 x 1, equally many of each class.

    They are the first of each class, class after class in turn, so every stretch of ten holds all classes.
    `experiments/make_fashion_mini.py` made the file.
    """
    packed = resources.files("jaxevo.data").joinpath("assets", "fashion_mini.npz.xz").read_bytes()
    with np.load(io.BytesIO(lzma.decompress(packed)), allow_pickle=False) as archive:
        train = archive["train_images"], archive["train_labels"]
        test = archive["test_images"], archive["test_labels"]
        class_names = archive["class_names"].tolist()
    return make_dataset("fashion_mini", train, test, class_names)


EMBEDDED: dict[str, Callable[[], Dataset]] = {"digits": load_digits, "fashion_mini": load_fashion_mini}
