"""What trained networks say of a split: exact accuracies, predictions, and the majority vote of several."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxevo.data import Dataset, Split
from jaxevo.networks.training import (
    Evaluation,
    EvaluationBatches,
    Images,
    evaluation_batch_size,
    make_evaluate,
    normalise,
    put_evaluation_batches,
)
from jaxevo.search.population import Individual
from jaxevo.settings import Settings
from jaxevo.spaces import space_from
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.network import make_phenotype
from jaxevo.storage.checkpoint import WeightStore


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


class SavedNetworks:
    """The trained networks of a run, to be asked about images."""

    def __init__(self, settings: Settings, dataset: Dataset, weights: Path) -> None:
        """Takes a run's settings, its data set, and its folder of weights."""
        self._settings = settings
        self._dataset = dataset
        self._store = WeightStore(weights, space_from(settings))
        self._device = jax.local_devices()[0]
        self._normalise = jax.jit(normalise)

    def predictions(self, individual: Individual, split: Split) -> np.ndarray:
        """Returns the classes that an individual predicts, int32 [images].

        Raises:
            ValueError: if its training failed, so that it has no weights, or they are missing or altered.
        """
        if individual.weights is None or individual.weights_sha256 is None:
            raise ValueError(f"individual {individual.id} has no weights: its training failed")
        compiled = architecture(individual.genotype, self._dataset.image_shape)
        phenotype = make_phenotype(compiled, self._dataset.num_classes, self._settings)
        evaluate = jax.jit(make_evaluate(phenotype))
        variables = self._store.load(individual.weights, individual.weights_sha256, individual.genotype)
        size = evaluation_batch_size(self._settings, self._dataset)
        batches = put_evaluation_batches(split, size, self._device)
        mean, deviation = self._dataset.mean, self._dataset.std
        predicted = [
            evaluate(variables, self._normalise(pixels, mean, deviation), labels, np.int32(0)).predictions
            for pixels, labels in batches
        ]
        return np.concatenate(jax.device_get(predicted))[: len(split.labels)]


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
