"""Small random images with random labels, and settings of a few steps on them."""

import numpy as np

from jaxevo.data.dataset import make_dataset
from jaxevo.settings import Settings

SHAPE = (6, 5, 2)
CLASSES = 3


def dataset_of(count=40, shape=SHAPE, padding=2, flip=True):
    """Returns random images with random labels; a tenth of the train images is for validation."""
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (2 * count, *shape), np.uint8)
    labels = np.concatenate([generator.permutation(np.arange(count) % CLASSES) for _ in range(2)])
    return make_dataset(
        "random",
        (images[:count], labels[:count]),
        (images[count:], labels[count:]),
        crop_padding=padding,
        flip=flip,
    )


def settings_of(**changes):
    return Settings(**{"train_steps": 12, "batch_size": 7, **changes})
