"""The interface of a run's networks and ensembles: predict, predict_proba, evaluate.

They take uint8 images [images, height, width, channels], or [images, height, width] for one channel, and normalise
them. They refuse all but pixels of 0 to 255, because a network classifies wrongly normalised images without an error.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from jaxevo.data.checks import check_images, check_labels


class Classifier(ABC):
    """An image classifier: a network or an ensemble.

    Attributes:
        image_shape: height, width, channels of its images.
        class_names: names of the classes, in the order of `predict_proba`.
        label_values: the given integer of each class if these were not 0, 1, ...; empty otherwise.
        finished: True if its weights are finished ones: trained on, on training and validation images.
    """

    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    label_values: tuple[int, ...] = ()
    finished: bool = False

    @property
    def weights_kind(self) -> str:
        """The kind of its weights: `finished` or `evolved`."""
        return "finished" if self.finished else "evolved"

    def predict(self, images: ArrayLike) -> np.ndarray:
        """Returns the label of each image's class, integers [images]: as it was given, or its place in `class_names`.

        Args:
            images: uint8 [images, height, width, channels], or [images, height, width] for one channel.

        Raises:
            ValueError: if the images have another type or shape.
        """
        classes = self.predict_classes(images)
        return np.array(self.label_values)[classes] if self.label_values else classes

    @abstractmethod
    def predict_classes(self, images: ArrayLike) -> np.ndarray:
        """Returns the place of each image's class in `class_names`, int32 [images]; see `predict`."""

    @abstractmethod
    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Returns the probability of each class, float32 [images, classes]; takes images and raises as `predict`."""

    def evaluate(self, images: ArrayLike, labels: ArrayLike) -> float:
        """Returns the share of correctly classified images, in [0, 1].

        Args:
            images: images as for `predict`.
            labels: integers [images], as `predict` returns them.

        Raises:
            ValueError: if images or labels have another type, shape or range.
        """
        images = self._checked(images)
        classes = self.classes_of(labels, len(images))
        return int(np.sum(self.predict_classes(images) == classes)) / len(images)

    def classes_of(self, labels: ArrayLike, count: int) -> np.ndarray:
        """Returns the place in `class_names` of each of `count` labels; raises `ValueError` for an unknown label."""
        given = np.asarray(labels)
        if self.label_values and given.dtype.kind in "ui":
            unknown = np.setdiff1d(given, self.label_values)
            if unknown.size:
                raise ValueError(f"labels: {unknown[0]} is no label of the run; give those of its data set")
            given = np.searchsorted(self.label_values, given)
        return check_labels("labels", given, count, len(self.class_names))

    def _checked(self, images: ArrayLike) -> np.ndarray:
        images = np.asarray(images)
        if images.dtype == np.uint8 and images.shape == self.image_shape:
            raise ValueError(f"images: shape is {images.shape}, that of one image; give a batch, such as images[None]")
        images = check_images("images", images)
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"images: height, width, channels are {images.shape[1:]}, but must be {self.image_shape}, those of the "
                "images that the network was trained on; resize them first"
            )
        return images
