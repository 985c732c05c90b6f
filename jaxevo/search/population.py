"""Who is alive: individuals and the population, both immutable."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jaxevo.search.ordered import Ordered

_by_id = operator.attrgetter("id")


@dataclass(frozen=True)
class Individual:
    """A genotype with its fitness and lineage, and the name of its weights.

    Attributes:
        id: the number of its birth, from 0.
        parent_id: whose child it is, None for an initial individual.
        mutation: the mutation that made it, None for an initial individual.
        genotype: what it is.
        fitness: validation accuracy in [0, 1]; 0 when its training failed.
        weights: the folder that holds its trained weights, None when its training failed.
        weights_sha256: their hash, None when its training failed.
        event: the event that told it, from 1.
    """

    id: int
    parent_id: int | None
    mutation: str | None
    genotype: Any
    fitness: float
    weights: str | None
    weights_sha256: str | None
    event: int

    def __repr__(self) -> str:
        """Returns who it is, where it comes from, and how fit it is."""
        origin = "initial" if self.parent_id is None else f"child of {self.parent_id} by {self.mutation}"
        fitness = "its training failed" if self.weights is None else f"fitness {self.fitness:.1%}"
        return f"<Individual {self.id}: {origin}, {fitness}>"


@dataclass(frozen=True, init=False)
class Population:
    """The living, ordered by id."""

    individuals: Ordered[Individual]

    def __init__(self, individuals: Iterable[Individual] = ()) -> None:
        """Takes the living, in any order."""
        ordered = individuals if isinstance(individuals, Ordered) else Ordered(_by_id, individuals)
        object.__setattr__(self, "individuals", ordered)

    def __len__(self) -> int:
        """Returns how many live."""
        return len(self.individuals)

    def __iter__(self) -> Iterator[Individual]:
        """Goes through the living by id."""
        return iter(self.individuals)

    def __getitem__(self, index: int) -> Individual:
        """Returns one of the living."""
        return self.individuals[index]

    def find(self, individual_id: int) -> Individual | None:
        """Returns the individual with an id, or None where it does not live."""
        return self.individuals.find(individual_id)

    def add(self, individual: Individual) -> Population:
        """Returns the population with one more."""
        return Population(self.individuals.add(individual))

    def remove(self, index: int) -> Population:
        """Returns the population without the one at `index`, in `[0, len)`; raises `IndexError` for another."""
        return Population(self.individuals.remove(index))

    def without(self, other: Population) -> Iterator[Individual]:
        """Goes through those that do not live in the other."""
        return self.individuals.without(other.individuals)
