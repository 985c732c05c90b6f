"""Exact accuracies of trained networks, and majority votes of several."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxevo.data.dataset import Split
from jaxevo.networks.batches import Images
from jaxevo.networks.training import Evaluation, EvaluationBatches


class Validation(NamedTuple):
    """The result of evaluating a split.

    Attributes:
        accuracy: exact share of correctly classified images, in [0, 1].
        confusion: number of images by true class and predicted class, if asked for.
        loss: mean cross-entropy, if asked for.
    """

    accuracy: float
    confusion: tuple[tuple[int, ...], ...] | None = None
    loss: float | None = None


def validate(
    evaluate: Callable[..., Evaluation],
    variables: Any,
    images: Images,
    batches: EvaluationBatches,
    split: Split,
    num_classes: int = 0,
) -> Validation | None:
    """Returns the result of evaluating a split, None if a logit is not finite.

    Args:
        evaluate: compiled evaluation of the architecture.
        variables: the network's arrays.
        images: training images, with the statistics to normalise by.
        batches: batches of the split.
        split: the split.
        num_classes: number of classes, to count the confusions; 0 to leave them out.
    """
    correct: Any = np.int32(0)
    done: list[Evaluation] = []
    for batch in batches:
        evaluation = evaluate(variables, images, batch, correct)
        correct = evaluation.correct
        done.append(evaluation)
    counted, count = int(correct), len(split.labels)  # The only transfer from the device, unless more is asked for.
    if counted < 0:
        return None
    losses = [float(one.loss) for one in done if one.loss is not None]
    if not all(map(math.isfinite, losses)):
        return None
    return Validation(
        counted / count,
        _confusion(split.labels, done, num_classes) if num_classes else None,
        math.fsum(losses) / count if losses else None,
    )


def _confusion(labels: np.ndarray, done: Sequence[Evaluation], num_classes: int) -> tuple[tuple[int, ...], ...]:
    predicted = np.concatenate([np.asarray(one.predictions) for one in done])[: len(labels)]
    confusion = np.zeros((num_classes, num_classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    return tuple(map(tuple, confusion.tolist()))


def majority_vote(members: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    """Returns the class that most members predict for each image, int [images].

    Ties go to the class that the fittest member of the tied predicts.

    Args:
        members: predictions of each member, int [images], the fittest member first.
        num_classes: number of classes.
    """
    rows = np.arange(len(members[0]))
    votes = np.zeros((len(rows), num_classes), int)
    for member in members:
        votes[rows, member] += 1
    winners = np.full(len(rows), -1)
    for member in members:
        leads = votes[rows, member] == votes.max(axis=1)
        winners = np.where((winners < 0) & leads, member, winners)
    return winners
