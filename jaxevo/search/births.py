"""Births, the inputs of trainings, and outcomes, their results."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxevo.search.space import Cost, SearchSpace, Task, Training
from jaxevo.settings import Settings


@dataclass(frozen=True)
class Inherited:
    """The genotype and weights that a child inherits from its parent.

    Attributes:
        genotype: of the parent.
        weights: the folder of the parent's weights.
        weights_sha256: their hash.
    """

    genotype: Any
    weights: str
    weights_sha256: str


class Threshold(NamedTuple):
    """A check of a training.

    Attributes:
        step: number of steps after which it is made.
        accuracy: the training is stopped if its validation accuracy is below this; 0 never stops it.
    """

    step: int
    accuracy: float


class Initial(NamedTuple):
    """The beginning of an initial individual.

    Attributes:
        genotype: of the individual.
        inherited: start of its training, with the same genotype; None for fresh weights.
    """

    genotype: Any
    inherited: Inherited | None = None


@dataclass(frozen=True)
class Birth:
    """A birth: one child to train, with all that its training needs besides data and settings.

    Attributes:
        id: number of the birth, counted from 0.
        parent_id: id of the parent, None for an initial individual.
        mutation: name of the mutation that made the child, None for an initial individual.
        genotype: of the child.
        inherited: start of the training, None if nothing is inherited.
        due: virtual time at which the outcome is told, in seconds.
        genotype_sha256: hash of the genotype.
        architecture: the compiled part of the genotype.
        cost: of the architecture.
        training: the part of the genotype that affects its training but not its architecture.
        flops: FLOPs of training and validation together, without checks.
        thresholds: checks of the training, by step; empty if nothing may stop it early.
    """

    id: int
    parent_id: int | None
    mutation: str | None
    genotype: Any
    inherited: Inherited | None
    due: float
    genotype_sha256: str
    architecture: Any
    cost: Cost
    training: Training
    flops: int
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The outcome of a birth's training. It has no test accuracy, since selection must never see that.

    Attributes:
        id: of the birth.
        accuracy: validation accuracy in [0, 1]; 0 if the training failed.
        weights: the folder of the trained weights, None if there are none.
        weights_sha256: their hash, None if there are none.
        failure: reason of the failure, None if the training succeeded.
        checks: validation accuracy in [0, 1] at each check that was made; empty if the training failed.
        stopped_at: number of steps after which a check stopped the training, None if all were done.
        confusion: number of validation images by true class and predicted class, if the fitness needs it.
        loss: mean cross-entropy of the validation images, if the fitness needs it.
    """

    id: int
    accuracy: float
    weights: str | None
    weights_sha256: str | None
    failure: str | None = None
    checks: tuple[float, ...] = ()
    stopped_at: int | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    loss: float | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for an accuracy or check outside [0, 1] or NaN, which cannot be compared."""
        if not 0 <= self.accuracy <= 1:
            raise ValueError(f"the accuracy of individual {self.id} is {self.accuracy}, but must be in [0, 1]")
        if not all(0 <= accuracy <= 1 for accuracy in self.checks):
            raise ValueError(f"the checks of individual {self.id} are {self.checks}, but must be in [0, 1]")


class Derived(NamedTuple):
    """Fields of a `Birth` that follow from its genotype, under the same names."""

    genotype_sha256: str
    architecture: Any
    cost: Cost
    training: Training
    flops: int


def derive(genotype: Any, settings: Settings, space: SearchSpace[Any], task: Task) -> Derived:
    """Returns the fields of a birth that follow from its genotype. Births carry them, so they are derived once."""
    architecture = space.architecture(genotype, task)
    cost = space.cost(architecture, task, settings.batch_size, settings.evaluation_batch_size)
    return Derived(
        genotype_sha256=json_sha256(space.to_json(genotype)),
        architecture=architecture,
        cost=cost,
        training=space.training(genotype),
        flops=individual_flops(cost, settings.train_steps, settings.batch_size, task.validation_images),
    )


def json_sha256(value: Any) -> str:
    """Returns the hash of JSON values, which does not depend on the order of the keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def individual_flops(cost: Cost, train_steps: int, batch_size: int, validation_images: int) -> int:
    """Returns the FLOPs of one individual: training and validation (Real et al. 2017, section 3.4)."""
    training = cost.training_flops * batch_size * train_steps
    return training + cost.forward_flops * validation_images


def spent_flops(cost: Cost, outcome: Outcome, settings: Settings, task: Task) -> int:
    """Returns the FLOPs of an outcome: of the steps done, of the checks, and of the validation at the end.

    A training that a check stopped is not validated again, and one that failed counts as a whole one.
    """
    steps = settings.train_steps if outcome.stopped_at is None else outcome.stopped_at
    validations = len(outcome.checks) + (outcome.stopped_at is None)
    return individual_flops(cost, steps, settings.batch_size, validations * task.validation_images)


def birth_sha256(birth: Birth) -> str:
    """Returns the hash of a birth's decisions.

    These are parent, mutation, genotype, inherited weights, due time, FLOPs and thresholds. The attempt that gave the
    parent's weights is left out, since it decides nothing.
    """
    inherited = None if birth.inherited is None else birth.inherited.weights_sha256
    decided = birth.id, birth.parent_id, birth.mutation, birth.genotype_sha256, inherited, birth.due, birth.flops
    return chained("birth", *decided, *(fact for threshold in birth.thresholds for fact in threshold))


def chained(fingerprint: str, *facts: str | float | None) -> str:
    """Returns a fingerprint extended by facts: numbers, names and hashes, none of which holds a space."""
    return hashlib.sha256(" ".join(map(str, (fingerprint, *facts))).encode()).hexdigest()
