"""Fitness: the number that an evolution maximises, computed from a validation result and a cost.

A fitness is a pure function of what the journal holds, so that it can be recomputed wherever a run is read. Built in
are three scores in [0, 1], each with an optional price on FLOPs or parameters.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxevo.search.births import Outcome
from jaxevo.search.space import Cost

FAILED = -math.inf
"""The fitness of an individual whose training failed: it ranks below all others."""


class Fitness(NamedTuple):
    """A fitness, with what it needs to know of a validation beside the accuracy.

    Attributes:
        score: `(outcome, cost) -> fitness`, a finite number; called only for trainings that succeeded.
        confusion: True if `outcome.confusion` is needed.
        loss: True if `outcome.loss` is needed.
    """

    score: Callable[[Outcome, Cost], float]
    confusion: bool = False
    loss: bool = False


def accuracy(flops: float = 0.0, parameters: float = 0.0) -> Fitness:
    """Returns the share of correctly classified validation images.

    Args:
        flops: price, subtracted for each FLOP of the forward pass of one image.
        parameters: price, subtracted for each trainable parameter.
    """
    return priced(Fitness(lambda outcome, _: outcome.accuracy), flops, parameters)


def balanced_accuracy(flops: float = 0.0, parameters: float = 0.0) -> Fitness:
    """Returns the mean over the classes of the share of their images that is classified correctly.

    Classes without validation images are left out. For the prices see `accuracy`.
    """

    def score(outcome: Outcome, _: Cost) -> float:
        confusion = _confusion(outcome)
        images = confusion.sum(axis=1)
        return float((confusion.diagonal()[images > 0] / images[images > 0]).mean())

    return priced(Fitness(score, confusion=True), flops, parameters)


def macro_f1(flops: float = 0.0, parameters: float = 0.0) -> Fitness:
    """Returns the mean over the classes of the harmonic mean of precision and recall.

    Classes that neither occur nor are predicted are left out. For the prices see `accuracy`.
    """

    def score(outcome: Outcome, _: Cost) -> float:
        confusion = _confusion(outcome)
        both = confusion.sum(axis=0) + confusion.sum(axis=1)
        return float((2 * confusion.diagonal()[both > 0] / both[both > 0]).mean())

    return priced(Fitness(score, confusion=True), flops, parameters)


def priced(fitness: Fitness, flops: float, parameters: float) -> Fitness:
    """Returns a fitness less a price for FLOPs per image and for parameters.

    Raises:
        ValueError: if a price is not a finite number.
    """
    for name, price in (("flops", flops), ("parameters", parameters)):
        if not isinstance(price, int | float) or not math.isfinite(price):
            raise ValueError(f"the price of {name} is {price!r}, but must be a finite number")
    if not flops and not parameters:
        return fitness

    def score(outcome: Outcome, cost: Cost) -> float:
        return fitness.score(outcome, cost) - flops * cost.forward_flops - parameters * cost.parameters

    return fitness._replace(score=score)


def fitness_of(fitness: Fitness, outcome: Outcome, cost: Cost) -> float:
    """Returns the fitness of an outcome, `FAILED` if its training failed.

    Raises:
        ValueError: if the fitness is not a finite number.
    """
    if outcome.failure is not None:
        return FAILED
    score = float(fitness.score(outcome, cost))
    if not math.isfinite(score):
        raise ValueError(f"the fitness of individual {outcome.id} is {score}, but must be a finite number")
    return score


BUILT_IN: dict[str, Callable[..., Fitness]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}
"""The factories of fitness by name."""


def _confusion(outcome: Outcome) -> np.ndarray:
    """Returns the confusion matrix [true class, predicted class]."""
    if outcome.confusion is None:
        raise ValueError(f"the outcome of individual {outcome.id} has no confusion matrix, which the fitness needs")
    return np.array(outcome.confusion)
