"""Measure a classifier: confusion, accuracy by class, balanced accuracy, top-k, confidence and the majority class."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_TOP = 5
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Measures:
    """Measures of a classifier on labelled images; accuracies are in [0, 1].

    Attributes:
        class_names: names of the classes.
        confusion: number of images by true and by predicted class, int [classes, classes].
        accuracy: share of correctly classified images.
        interval: the 95 % confidence interval of the accuracy (Wilson's).
        class_accuracy: accuracy by class, None for a class without images.
        balanced_accuracy: mean of the accuracies by class.
        top: k, and the share of images whose class is among the k most probable ones; None with fewer than 3 classes.
        majority_class: the most frequent class of the training images.
        majority_accuracy: accuracy of always answering it.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    accuracy: float
    interval: tuple[float, float]
    class_accuracy: tuple[float | None, ...]
    balanced_accuracy: float
    top: tuple[int, float] | None
    majority_class: str
    majority_accuracy: float

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def warning(self) -> str | None:
        """How the accuracy compares with always answering the majority class, None if it is clearly better."""
        return majority_warning(self.accuracy, self.interval, self.majority_class, self.majority_accuracy)

    def to_json(self) -> dict[str, Any]:
        """Returns all measures as JSON values."""
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.interval),
            "balanced_accuracy": self.balanced_accuracy,
            "top": None if self.top is None else {"k": self.top[0], "accuracy": self.top[1]},
            "majority_class": self.majority_class,
            "majority_accuracy": self.majority_accuracy,
            "better_than_majority": self.warning is None,
            "class_accuracy": dict(zip(self.class_names, self.class_accuracy, strict=True)),
            "class_names": list(self.class_names),
            "confusion": self.confusion.tolist(),
        }


def measure(
    probabilities: np.ndarray,
    predicted: np.ndarray,
    labels: np.ndarray,
    train_labels: np.ndarray,
    class_names: tuple[str, ...],
) -> Measures:
    """Returns the measures of a classifier.

    Args:
        probabilities: of each class, float [images, classes].
        predicted: class of each image, integers [images] in [0, classes).
        labels: true class of each image, the same.
        train_labels: classes of the training images, for the majority class.
        class_names: names of the classes.
    """
    classes = len(class_names)
    confusion = np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    of_class, right = confusion.sum(axis=1), confusion.diagonal()
    by_class = tuple(int(hit) / int(all_) if all_ else None for hit, all_ in zip(right, of_class, strict=True))
    present = [share for share in by_class if share is not None]
    majority = int(np.bincount(train_labels, minlength=classes).argmax())
    return Measures(
        class_names=class_names,
        confusion=confusion,
        accuracy=int(right.sum()) / len(labels),
        interval=wilson_interval(int(right.sum()), len(labels)),
        class_accuracy=by_class,
        balanced_accuracy=sum(present) / len(present),
        top=_top(probabilities, labels) if classes > 2 else None,
        majority_class=class_names[majority],
        majority_accuracy=int(of_class[majority]) / len(labels),
    )


def wilson_interval(right: int, images: int) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a share, by Wilson's score."""
    share, square = right / images, _NORMAL_95**2
    centre = (share + square / (2 * images)) / (1 + square / images)
    half = _NORMAL_95 * math.sqrt(share * (1 - share) / images + square / (4 * images**2)) / (1 + square / images)
    return max(0.0, centre - half), min(1.0, centre + half)


def majority_warning(
    accuracy: float, interval: tuple[float, float], majority_class: str, majority_accuracy: float
) -> str | None:
    """Returns how an accuracy compares with always answering the majority class, None if it is clearly better."""
    if interval[0] > majority_accuracy:
        return None
    better = "no better" if accuracy <= majority_accuracy else "not clearly better"
    return f"{better} than always answering {majority_class!r}, which is right in {majority_accuracy:.2%}"


def _top(probabilities: np.ndarray, labels: np.ndarray) -> tuple[int, float]:
    """Returns k, and the share of images whose class is among the k most probable; ties go to the first class."""
    most = min(_TOP, probabilities.shape[1] - 1)
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
    return most, int(np.sum(ranked == labels[:, None])) / len(labels)
