"""Measures of a classifier, from the definitions."""

import json

import numpy as np
import pytest

from jaxevo.reports.metrics import measure, wilson_interval

NAMES = ("ant", "bee", "cat")


def measures_of(labels, predicted, train_labels=(0, 0, 1, 2), probabilities=None):
    predicted = np.array(predicted)
    probabilities = np.eye(3)[predicted] if probabilities is None else np.array(probabilities)
    return measure(probabilities, predicted, np.array(labels), np.array(train_labels), NAMES)


def test_all_measures_of_a_small_example():
    found = measures_of([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0])
    assert found.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert found.images == 6
    assert found.accuracy == 4 / 6
    assert found.class_accuracy == (2 / 3, 1.0, 0.0)
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 3)
    assert (found.majority_class, found.majority_accuracy) == ("ant", 0.5)
    assert json.loads(json.dumps(found.to_json()))["class_accuracy"] == {"ant": 2 / 3, "bee": 1.0, "cat": 0.0}


def test_top_k_counts_the_most_probable_classes_and_ties_go_to_the_first():
    probabilities = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.4, 0.4]]
    assert measures_of([1, 2, 2], [0, 0, 1], probabilities=probabilities).top == (2, 2 / 3)


def test_a_class_without_images_has_no_accuracy_and_does_not_count():
    found = measures_of([0, 0, 1], [0, 1, 1])
    assert found.class_accuracy == (0.5, 1.0, None)
    assert found.balanced_accuracy == 0.75


def test_wilsons_interval():
    assert wilson_interval(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson_interval(50, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)


@pytest.mark.parametrize(
    ("right", "words"),
    [(97, "no better than always answering 'ant', which is right in 97.00%"), (98, "not clearly better")],
)
def test_a_winner_no_better_than_the_majority_is_said_to_be_so(right, words):
    labels = [0] * 97 + [1] * 3
    predicted = [0] * 97 + [1] * (right - 97) + [0] * (100 - right)
    assert words in measures_of(labels, predicted, train_labels=[0] * 97 + [1, 2]).warning


def test_a_better_one_is_not():
    labels = [0, 1, 2] * 30
    assert measures_of(labels, labels).warning is None
