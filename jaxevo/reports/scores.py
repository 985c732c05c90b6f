"""The test accuracies of a run."""

from typing import NamedTuple

from jaxevo.data import Dataset
from jaxevo.reports.classifier import Classifier
from jaxevo.reports.ensemble import Ensemble
from jaxevo.reports.metrics import Measures, measure
from jaxevo.reports.network import Network


class Scores(NamedTuple):
    """Test accuracies of a run, in [0, 1].

    Attributes:
        best: accuracy of the best network by validation, with its finished weights if there are any.
        ensemble: accuracy of the majority vote.
        members: ids of the ensemble's individuals, the fittest first.
        best_weights: `evolved` or `finished`.
        ensemble_weights: `finished` if those of all members are, otherwise `evolved`.
        best_measures: all measures of the best network.
        ensemble_measures: all measures of the ensemble.
    """

    best: float
    ensemble: float
    members: tuple[int, ...]
    best_weights: str
    ensemble_weights: str
    best_measures: Measures
    ensemble_measures: Measures


def scores_of(best: Network, ensemble: Ensemble, dataset: Dataset) -> Scores:
    """Returns the test accuracies of the best network and of an ensemble.

    Args:
        best: the best network by validation.
        ensemble: the ensemble.
        dataset: of the run, with labels as they were given.
    """
    members = tuple(member.individual.id for member in ensemble.members)
    measures, vote = _measured(best, dataset), _measured(ensemble, dataset)
    return Scores(measures.accuracy, vote.accuracy, members, best.weights_kind, ensemble.weights_kind, measures, vote)


def _measured(classifier: Classifier, dataset: Dataset) -> Measures:
    """Returns the measures of a classifier on the test images."""
    images, labels = dataset.test
    train = dataset.train.labels
    return measure(
        classifier.predict_proba(images),
        classifier.predict_classes(images),
        classifier.classes_of(labels, len(images)),
        classifier.classes_of(train, len(train)),
        classifier.class_names,
    )
