"""Who is alive: individuals and the population, both immutable."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

from jaxevo.genotype import Genotype


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
    """

    id: int
    parent_id: int | None
    mutation: str | None
    genotype: Genotype
    fitness: float
    weights: str | None
    weights_sha256: str | None


@dataclass(frozen=True)
class Population:
    """The living, ordered by id, so that the oldest comes first."""

    individuals: tuple[Individual, ...] = ()

    def __len__(self) -> int:
        """Returns how many live."""
        return len(self.individuals)

    def __iter__(self) -> Iterator[Individual]:
        """Goes through the living, the oldest first."""
        return iter(self.individuals)

    def __getitem__(self, index: int) -> Individual:
        """Returns one of the living."""
        return self.individuals[index]

    def add(self, individual: Individual) -> Population:
        """Returns the population with one more."""
        place = bisect.bisect_left(self.individuals, individual.id, key=lambda other: other.id)
        return Population((*self.individuals[:place], individual, *self.individuals[place:]))

    def remove(self, index: int) -> Population:
        """Returns the population without the one at `index`, in `[0, len)`; raises `IndexError` for another."""
        if not 0 <= index < len(self):
            raise IndexError(f"index is {index}, but {len(self)} live")
        return Population(self.individuals[:index] + self.individuals[index + 1 :])
