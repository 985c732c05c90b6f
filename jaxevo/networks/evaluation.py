"""What trained networks say of a split: exact accuracies, and the majority vote of several."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxevo.networks.training import Evaluation, EvaluationBatches, Images
from jaxevo.search.population import Individual


def accuracy(
    evaluate: Callable[..., Evaluation],
    variables: Any,
    images: Images,
    batches: EvaluationBatches,
    count: int,
) -> float | None:
    """Returns the share of a split that is classified correctly, an exact count; None where logits are not finite.

    Args:
        evaluate: the compiled evaluation of the architecture.
        variables: the network's arrays.
        images: the training images, whose statistics normalise.
        batches: the split.
        count: images in the split.
    """
    correct: Any = np.int32(0)
    for batch in batches:
        correct = evaluate(variables, images, batch, correct).correct
    counted = int(correct)  # All that a split transfers from the device.
    return None if counted < 0 else counted / count


def ensemble_members(living: Sequence[Individual], best: Individual, size: int) -> list[Individual]:
    """Returns the fittest that have weights, the fittest first; among equals the earlier born.

    Picked by validation accuracy, as in Real et al. 2017; the best ever is one of them even if it lives no more.
    """
    candidates = {individual.id: individual for individual in (*living, best) if individual.weights is not None}
    ranked = sorted(candidates.values(), key=lambda individual: (-individual.fitness, individual.id))
    return ranked[:size]


def majority_vote(members: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    """Returns the class that most members predict for each image, int [images].

    A tie goes to the class of the foremost member among the tied.

    Args:
        members: predictions, int [images] each, the fittest member first.
        num_classes: classes to tell apart.
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
