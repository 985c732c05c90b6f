"""What trained networks say of a split: exact accuracies, predictions, and the majority vote of several."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxevo.compilation import Programs
from jaxevo.training import EvaluationBatches, Images


def accuracy(programs: Programs, variables: Any, images: Images, batches: EvaluationBatches) -> float | None:
    """Returns the share of a split that is classified correctly, an exact count; None where logits are not finite."""
    evaluations = [
        programs.evaluate(variables, images.mean, images.deviation, *batch)._replace(predictions=None)
        for batch in batches
    ]
    counts = jax.device_get(evaluations)
    if not all(evaluation.finite for evaluation in counts):
        return None
    total = sum(int((np.asarray(labels) >= 0).sum()) for _, labels in batches)
    return sum(int(evaluation.correct) for evaluation in counts) / total


def predictions(programs: Programs, variables: Any, images: Images, batches: EvaluationBatches) -> np.ndarray:
    """Returns the predicted classes of a split, int32 [images]."""
    predicted = [
        programs.evaluate(variables, images.mean, images.deviation, *batch).predictions for batch in batches
    ]
    labels = np.concatenate([np.asarray(labels) for _, labels in batches])
    return np.concatenate(jax.device_get(predicted))[labels >= 0]


def majority_vote(members: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    """Returns the class that most members predict for each image, int [images].

    A tie goes to the class of the foremost member among the tied.

    Args:
        members: predictions, int [images] each, the fittest member first.
        num_classes: classes to tell apart.
    """
    votes = np.zeros((len(members[0]), num_classes), int)
    rows = np.arange(len(members[0]))
    for member in members:
        votes[rows, member] += 1
    winners = np.full(len(rows), -1)
    for member in members:
        leads = votes[rows, member] == votes.max(axis=1)
        winners = np.where((winners < 0) & leads, member, winners)
    return winners
