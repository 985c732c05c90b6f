"""Individuals and the population, both immutable."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jaxevo.search.ordered import Ordered
from jaxevo.search.space import Cost

_by_id = operator.attrgetter("id")


@dataclass(frozen=True)
class Individual:
    """An individual: a genotype with its fitness, its lineage and the folder of its weights.

    Attributes:
        id: number of its birth, counted from 0.
        parent_id: id of its parent, None for an initial individual.
        mutation: name of the mutation that made it, None for an initial individual.
        genotype: of the individual.
        fitness: the number that is maximised; minus infinity if its training failed.
        accuracy: validation accuracy in [0, 1]; 0 if its training failed.
        weights: the folder of its trained weights, None if there are none.
        weights_sha256: their hash, None if there are none.
        event: the event that told it, counted from 1.
        cost: of its architecture.
        failure: reason of the failure, None if its training succeeded.
    """

    id: int
    parent_id: int | None
    mutation: str | None
    genotype: Any
    fitness: float
    accuracy: float
    weights: str | None
    weights_sha256: str | None
    event: int
    cost: Cost
    failure: str | None = None

    def __repr__(self) -> str:
        """Returns id, origin and accuracy as text."""
        origin = "initial" if self.parent_id is None else f"child of {self.parent_id} by {self.mutation}"
        result = "its training failed" if self.failure is not None else f"validation accuracy {self.accuracy:.1%}"
        return f"<Individual {self.id}: {origin}, {result}>"


@dataclass(frozen=True, init=False)
class Population:
    """The living, ordered by id.

    Attributes:
        individuals: the living, in an immutable sorted sequence.
    """

    individuals: Ordered[Individual]

    def __init__(self, individuals: Iterable[Individual] = ()) -> None:
        """Takes the living, in any order."""
        ordered = individuals if isinstance(individuals, Ordered) else Ordered(_by_id, individuals)
        object.__setattr__(self, "individuals", ordered)

    def __len__(self) -> int:
        """Returns the number of living individuals."""
        return len(self.individuals)

    def __iter__(self) -> Iterator[Individual]:
        """Goes through the living by id."""
        return iter(self.individuals)

    def __getitem__(self, index: int) -> Individual:
        """Returns the living individual at an index."""
        return self.individuals[index]

    def find(self, individual_id: int) -> Individual | None:
        """Returns the individual with an id, or None if it is not alive."""
        return self.individuals.find(individual_id)

    def add(self, individual: Individual) -> Population:
        """Returns the population with one more individual."""
        return Population(self.individuals.add(individual))

    def remove(self, index: int) -> Population:
        """Returns the population without the one at `index`; raises `IndexError` unless it is in `[0, len)`."""
        return Population(self.individuals.remove(index))

    def without(self, other: Population) -> Iterator[Individual]:
        """Yields the individuals that are not in the other population."""
        return self.individuals.without(other.individuals)


def ensemble_members(living: Iterable[Individual], best: Individual, size: int) -> list[Individual]:
    """Returns the fittest individuals that have weights, the fittest first; ties go to the earlier born.

    They are chosen by fitness, which is validation accuracy in Real et al. 2017. The best individual is included even
    if it is dead.
    """
    candidates = {individual.id: individual for individual in (*living, best) if individual.weights is not None}
    ranked = sorted(candidates.values(), key=lambda individual: (-individual.fitness, individual.id))
    return ranked[:size]
