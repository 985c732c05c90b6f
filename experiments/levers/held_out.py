"""The Fashion-MNIST test images that fashion_mini does not have."""

from pathlib import Path

import numpy as np

from experiments.make_fashion_mini import SOURCE, read_idx

# `fashion_mini` has the first 100 test images of each class.
_TAKEN = 100


def available(source: Path = SOURCE) -> bool:
    """Returns True if the files of Fashion-MNIST are there."""
    return source.is_dir()


def held_out(source: Path = SOURCE) -> tuple[np.ndarray, np.ndarray]:
    """Returns 9,000 images, 900 of each class: uint8 [9000, 28, 28], and uint8 labels."""
    images = read_idx(source / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(source / "t10k-labels-idx1-ubyte.gz")
    others = np.sort(np.concatenate([np.flatnonzero(labels == label)[_TAKEN:] for label in np.unique(labels)]))
    return images[others], labels[others]
