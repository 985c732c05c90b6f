"""The doors of an evolution: the four parts that a user may replace."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxevo.search.fitness import Fitness
from jaxevo.search.selection import Selection
from jaxevo.search.space import Mutation, SearchSpace


class Doors(NamedTuple):
    """The parts of an evolution that a user may replace.

    Attributes:
        space: of the genotypes that evolve.
        mutations: drawn by their weights. One of weight above 0 must apply to every genotype.
        selection: of parents and victims.
        fitness: the number that is maximised.
    """

    space: SearchSpace[Any]
    mutations: Sequence[Mutation[Any]]
    selection: Selection
    fitness: Fitness
