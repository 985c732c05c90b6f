"""What the winner does with the test images, beside two simple models."""

import base64
import collections
from typing import Any

import numpy as np

from jaxevo.data import Dataset
from jaxevo.reports.metrics import measure
from jaxevo.reports.network import Network

_IMAGES = 12
"""Most test images in a page."""
_SIDE = 64
"""Most pixels of an image's side in a page."""
_MATRIX_CLASSES = 40
"""Most classes of which a page shows the whole confusion matrix."""
_PAIRS = 20
"""Confused pairs of classes that a page names if there are more classes."""


def winner(network: Network, dataset: Dataset, linear: float | None) -> dict[str, Any]:
    """Returns the winner's confusion, its accuracy by class, and the images that it gets most confidently wrong.

    Args:
        network: the winner.
        dataset: data set of the run, with classes as labels.
        linear: test accuracy of a linear model, None if it is not known yet.

    Raises:
        ValueError: if the winner's weights are missing.
    """
    images, labels = dataset.test
    probabilities = network.predict_proba(images)
    predicted = probabilities.argmax(axis=1)
    measures = measure(probabilities, predicted, labels, dataset.train.labels, dataset.class_names)
    of_class, right = measures.confusion.sum(axis=1).tolist(), measures.confusion.diagonal().tolist()
    return {
        "classes": dataset.class_names,
        "images": measures.images,
        "accuracy": measures.accuracy,
        "majority": measures.majority_accuracy,
        "linear": linear,
        "by_class": list(zip(right, of_class, strict=True)),
        "confusion": measures.confusion.tolist() if len(of_class) <= _MATRIX_CLASSES else [],
        "confused": _confused(labels, predicted),
        "wrong": _wrong(images, labels, probabilities),
    }


def _thinned(images: np.ndarray, side: int) -> np.ndarray:
    """Returns images of at most `side` pixels a side, by leaving rows and columns out."""
    step = -(-max(images.shape[1:3]) // side)
    return images[:, ::step, ::step]


def _confused(labels: np.ndarray, predicted: np.ndarray) -> list[tuple[int, int, int]]:
    """Returns the most frequent errors: true label, predicted label, number of images."""
    wrong = predicted != labels
    pairs = collections.Counter(zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    return sorted(((*pair, count) for pair, count in pairs.items()), key=lambda one: (-one[2], one))[:_PAIRS]


def _wrong(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    predicted = probabilities.argmax(axis=1)
    confidence = np.where(predicted == labels, -1.0, probabilities.max(axis=1))
    places = [place for place in np.argsort(-confidence, kind="stable")[:_IMAGES] if predicted[place] != labels[place]]
    found = []
    for place in places:
        image = _thinned(images[place : place + 1], _SIDE)[0]
        height, width, channels = image.shape
        found.append(
            {
                "height": height,
                "width": width,
                "channels": channels,
                "pixels": base64.b64encode(image.tobytes()).decode(),
                "label": int(labels[place]),
                "predicted": int(predicted[place]),
                "probability": round(float(confidence[place]), 4),
            }
        )
    return found
