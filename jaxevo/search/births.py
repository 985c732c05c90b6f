"""Births and their outcomes: what is handed to a training, and what comes back."""

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxevo.search.space import Cost, SearchSpace, Task, Training
from jaxevo.settings import Settings


@dataclass(frozen=True)
class Inherited:
    """What a parent bequeaths.

    Attributes:
        genotype: the parent's.
        weights: the folder of the parent's weights.
        weights_sha256: their hash.
    """

    genotype: Any
    weights: str
    weights_sha256: str


@dataclass(frozen=True)
class Birth:
    """One child to train, with all that its training needs beside data and settings.

    Attributes:
        id: its number, from 0.
        parent_id: whose child it is, None for an initial individual.
        mutation: what made it, None for an initial individual.
        genotype: what to train.
        inherited: what its training starts from, None where nothing is inherited.
        due: when its outcome is told, in virtual seconds.
        genotype_sha256: the hash of the genotype.
        architecture: what of the genotype is compiled.
        cost: of the architecture.
        training: the part of the genotype that shapes its training alone.
        flops: what training and validation cost.
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


@dataclass(frozen=True)
class Outcome:
    """What the training of a birth gave, as far as evolution may know.

    Attributes:
        id: of the birth.
        fitness: validation accuracy in [0, 1]; 0 when the training failed.
        weights: the folder of the trained weights, None when the training failed.
        weights_sha256: their hash, None when the training failed.
        failure: why the training failed, None when it did not.
    """

    id: int
    fitness: float
    weights: str | None
    weights_sha256: str | None
    failure: str | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for a fitness outside [0, 1]: compared with it, no tournament would make sense."""
        if not 0 <= self.fitness <= 1:
            raise ValueError(f"the fitness of individual {self.id} is {self.fitness}, but must be in [0, 1]")


class Derived(NamedTuple):
    """The fields of a `Birth` that follow from its genotype, by their names there."""

    genotype_sha256: str
    architecture: Any
    cost: Cost
    training: Training
    flops: int


def derive(genotype: Any, settings: Settings, space: SearchSpace[Any], task: Task) -> Derived:
    """Returns what follows from a genotype. A birth carries it, so that nobody needs to derive it again."""
    architecture = space.architecture(genotype, task)
    cost = space.cost(architecture, task, settings.batch_size, settings.evaluation_batch_size)
    return Derived(
        genotype_sha256=space.sha256(genotype),
        architecture=architecture,
        cost=cost,
        training=space.training(genotype),
        flops=individual_flops(cost, settings.train_steps, settings.batch_size, task.validation_images),
    )


def individual_flops(cost: Cost, train_steps: int, batch_size: int, validation_images: int) -> int:
    """Returns the FLOPs of one individual: training and validation (Real et al. 2017, section 3.4)."""
    training = (cost.forward_flops + cost.backward_flops) * batch_size * train_steps
    return training + cost.forward_flops * validation_images


def birth_sha256(birth: Birth) -> str:
    """Returns the hash of what was decided with a birth: whose child, by which mutation, what it is and inherits.

    Which attempt gave the parent's weights is left out: it decides nothing.
    """
    inherited = None if birth.inherited is None else birth.inherited.weights_sha256
    decided = birth.id, birth.parent_id, birth.mutation, birth.genotype_sha256, inherited, birth.due, birth.flops
    return chained("birth", *decided)


def chained(fingerprint: str, *facts: str | float | None) -> str:
    """Returns the fingerprint of a history that goes on with some facts: numbers, names and hashes, without spaces."""
    return hashlib.sha256(" ".join(map(str, (fingerprint, *facts))).encode()).hexdigest()
