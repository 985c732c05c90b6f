"""Exact accuracies of trained networks, and majority votes of several."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxevo.networks.batches import Images
from jaxevo.networks.training import Evaluation, EvaluationBatches
from jaxevo.search.population import Individual


def accuracy(
    evaluate: Callable[..., Evaluation],
    variables: Any,
    images: Images,
    batches: EvaluationBatches,
    count: int,
) -> float | None:
    """Returns the exact share of correctly classified images in [0, 1], None if a logit is not finite.

    Args:
        evaluate: compiled evaluation of the architecture.
        variables: the network's arrays.
        images: training images, with the statistics to normalise by.
        batches: batches of the split.
        count: number of images in the split.
    """
    correct: Any = np.int32(0)
    for batch in batches:
        correct = evaluate(variables, images, batch, correct).correct
    counted = int(correct)  # The only transfer from the device per split.
    return None if counted < 0 else counted / count


def ensemble_members(living: Sequence[Individual], best: Individual, size: int) -> list[Individual]:
    """Returns the fittest individuals that have weights, the fittest first; ties go to the earlier born.

    They are chosen by validation accuracy, as in Real et al. 2017. The best individual is included even if it is dead.
    """
    candidates = {individual.id: individual for individual in (*living, best) if individual.weights is not None}
    ranked = sorted(candidates.values(), key=lambda individual: (-individual.fitness, individual.id))
    return ranked[:size]


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
