"""The images of a data set for a plain training loop: normalised once, with a black margin."""

from typing import NamedTuple

import numpy as np

from jaxevo.data import Dataset, Split
from jaxevo.networks.batches import augmentation
from jaxevo.settings import Settings


class PaddedImages(NamedTuple):
    """Training images to crop from.

    Attributes:
        pixels: float32 [images, height + 2 margin, width + 2 margin, channels], normalised after padding with black.
        labels: int32 [images].
        margin: in pixels, on every side.
    """

    pixels: np.ndarray
    labels: np.ndarray
    margin: int


def padded_images(dataset: Dataset, settings: Settings) -> PaddedImages:
    """Returns the training images with the margin that the settings' random crops need."""
    margin, _ = augmentation(settings, dataset)
    pixels = np.pad(dataset.train.images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    return PaddedImages(normalised(pixels, dataset), dataset.train.labels, margin)


def validation_batches(dataset: Dataset, size: int) -> list[Split]:
    """Returns the validation split in batches, float32 and normalised; the last batch may be smaller."""
    images, labels = normalised(dataset.validation.images, dataset), dataset.validation.labels
    return [Split(images[first : first + size], labels[first : first + size]) for first in range(0, len(labels), size)]


def normalised(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Returns uint8 pixels as float32, normalised by mean and deviation of the training images."""
    return ((pixels.astype(np.float32) / np.float32(255.0) - dataset.mean) / dataset.std).astype(np.float32)
