"""The estimator for scikit-learn."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from jaxevo.sklearn import ImageClassifier

TINY = {"population_size": 4, "num_workers": 2, "train_steps": 20, "batch_size": 20, "compile_overhead": 0.0}


def bright_and_dark(number: int = 60) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.arange(number) % 2
    images = generator.random((number, 5, 5)) * 0.4 + 0.6 * labels[:, None, None]
    return images, np.array(["dark", "light"])[labels]


def estimator() -> ImageClassifier:
    return ImageClassifier(max_individuals=4, lanes=1, settings=TINY)


def test_fit_predict_clone_and_pickle():
    images, labels = bright_and_dark()
    fitted = estimator().fit(images, labels)
    assert fitted.classes_.tolist() == ["dark", "light"]
    assert fitted.score(images, labels) > 0.9
    probabilities = fitted.predict_proba(images)
    assert probabilities.shape == (60, 2)
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(axis=1)], fitted.predict(images))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(images), probabilities)
    assert repr(again.network_) == repr(fitted.network_)
    assert again.network_.finished
    assert math.isnan(again.network_.test_accuracy)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "network_")
    assert copy.fit(images, labels).fingerprint_ == fitted.fingerprint_


def test_a_two_fold_cross_validation():
    images, labels = bright_and_dark()
    scores = cross_val_score(estimator(), images, labels, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.6


def test_floats_are_not_taken_for_the_integers_of_the_fit():
    images, labels = bright_and_dark()
    fitted = estimator().fit((images * 255).astype(np.uint8), labels)
    with pytest.raises(ValueError, match="X: float64 of 0 to 1 is given, but the training images are uint8"):
        fitted.predict(images)
    with pytest.raises(ValueError, match="bool of 0 to 1 is given"):
        fitted.predict(images > 0.5)
    assert fitted.predict((images * 255).astype(np.float32)).tolist() == labels.tolist()


def test_an_estimator_that_is_not_fitted_says_so():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        estimator().predict(np.zeros((1, 5, 5)))
