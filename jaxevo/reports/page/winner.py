"""What the winner does with the test images, beside two simple models."""

import base64
import collections
from typing import Any

import numpy as np

from jaxevo.data import Dataset
from jaxevo.reports.network import Network

_IMAGES = 12
"""Most test images in a page."""
_SIDE = 64
"""Most pixels of an image's side in a page."""
_MATRIX_CLASSES = 40
"""Most classes of which a page shows the whole confusion matrix."""
_PAIRS = 20
"""Confused pairs of classes that a page names if there are more classes."""
_LINEAR_IMAGES, _LINEAR_SIDE = 10_000, 32
"""Most training images of the linear model, and most pixels of their sides."""


def winner(network: Network, dataset: Dataset) -> dict[str, Any]:
    """Returns the winner's confusion, its accuracy by class, and the images that it gets most confidently wrong.

    Args:
        network: the winner.
        dataset: data set of the run.

    Raises:
        ValueError: if the winner's weights are missing.
    """
    images, labels = dataset.test
    probabilities = network.predict_proba(images)
    predicted = probabilities.argmax(axis=1)
    classes = len(dataset.class_names)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    return {
        "classes": dataset.class_names,
        "images": len(labels),
        "accuracy": _share(predicted == labels),
        "majority": _share(labels == np.bincount(dataset.train.labels).argmax()),
        "linear": _share(linear_predictions(dataset) == labels),
        "by_class": list(zip(right.tolist(), np.bincount(labels, minlength=classes).tolist(), strict=True)),
        "confusion": _confusion(labels, predicted, classes) if classes <= _MATRIX_CLASSES else [],
        "confused": _confused(labels, predicted),
        "wrong": _wrong(images, labels, probabilities),
    }


def linear_predictions(dataset: Dataset) -> np.ndarray:
    """Returns the labels, int [test images], that a linear model of the pixels predicts.

    It is ridge regression on one-hot labels, of three strengths the one that is best on the validation images.
    """
    train = _pixels(dataset.train.images[:_LINEAR_IMAGES])
    targets = np.eye(dataset.num_classes, dtype=np.float32)[dataset.train.labels[:_LINEAR_IMAGES]]
    mean, average = train.mean(axis=0), targets.mean(axis=0)
    centred = train - mean
    products, moments = centred.T @ centred, centred.T @ (targets - average)
    best, most = np.zeros_like(moments), -1.0
    for strength in (1e-3, 1e-2, 1e-1):
        ridge = strength * len(train) * np.eye(len(products), dtype=np.float32)
        weights = np.linalg.solve(products + ridge, moments)
        scores = (_pixels(dataset.validation.images) - mean) @ weights + average
        accuracy = _share(scores.argmax(axis=1) == dataset.validation.labels)
        if accuracy > most:
            best, most = weights, accuracy
    return ((_pixels(dataset.test.images) - mean) @ best + average).argmax(axis=1)


def _pixels(images: np.ndarray) -> np.ndarray:
    """Returns images as rows, float32 [images, pixels] in [0, 1]."""
    return _thinned(images, _LINEAR_SIDE).reshape(len(images), -1).astype(np.float32) / 255


def _thinned(images: np.ndarray, side: int) -> np.ndarray:
    """Returns images of at most `side` pixels a side, by leaving rows and columns out."""
    step = -(-max(images.shape[1:3]) // side)
    return images[:, ::step, ::step]


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[list[int]]:
    """Returns the number of images by true label, then by predicted label."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes).tolist()


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


def _share(right: np.ndarray) -> float:
    return round(int(right.sum()) / len(right), 6)
