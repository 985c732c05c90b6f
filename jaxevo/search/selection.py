"""Selection of parents and victims.

A selection is two pure functions over the living, `(generator, population) -> index`. The first drawn wins a tie in a
tournament, so the last drawn of the least fit dies.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple, get_args

import numpy as np

from jaxevo.search.pareto import Point, ranks
from jaxevo.search.population import Individual, Population
from jaxevo.settings import CostName, Settings

Choice = Callable[[np.random.Generator, Population], int]


class Selection(NamedTuple):
    """A choice of victims and parents; both functions need at least one living individual.

    Attributes:
        victim: function of a generator and the living; returns the index of the one that dies to make room.
        parent: function of a generator and the living; returns the index of the one that reproduces.
    """

    victim: Choice
    parent: Choice


def tournament() -> Selection:
    """Returns tournaments of two: the less fit dies, or the fitter reproduces. Real et al. 2017, section 3.1."""
    return Selection(
        victim=lambda generator, population: _worst_of(2, generator, population),
        parent=lambda generator, population: _best_of(2, generator, population),
    )


def aging(sample_size: int) -> Selection:
    """The best of a sample reproduces, the oldest dies. Real et al. 2019, regularized evolution.

    Age counts from the event that told an individual: "the model that was trained the earliest" dies. By id, which
    counts births, those that took long to train would be old when they come, and selection would be against size.

    Raises:
        ValueError: if `sample_size` is less than 1.
    """
    _check_sample_size(sample_size)
    return Selection(
        victim=lambda generator, population: _first_told(population),
        parent=lambda generator, population: _best_of(sample_size, generator, population),
    )


def pareto(sample_size: int, cost: CostName) -> Selection:
    """The best of a sample reproduces, the worst of all dies, both as NSGA-II ranks the living (Deb et al. 2002).

    A smaller front of fitness and cost is better, then a larger crowding distance, then the lower id. An individual
    whose training failed is worse than all others. NSGA-II replaces a whole generation and has samples of 2; here one
    dies at a time, as in its steady-state form (Durillo et al. 2009).

    Args:
        sample_size: individuals that compete to be a parent, 1 or more.
        cost: to minimise.

    Raises:
        ValueError: if `sample_size` is no whole number from 1 on, or there is no such cost.
    """
    _check_sample_size(sample_size)
    if cost not in get_args(CostName):
        raise ValueError(f"cost is {cost!r}, but must be {' or '.join(get_args(CostName))}")

    def parent(generator: np.random.Generator, population: Population) -> int:
        standing = _standing(population, cost)
        return min(_draw(generator, population, sample_size), key=standing.__getitem__)

    def victim(generator: np.random.Generator, population: Population) -> int:
        standing = _standing(population, cost)
        return max(range(len(population)), key=standing.__getitem__)

    return Selection(victim, parent)


def point_of(individual: Individual, cost: CostName) -> Point:
    """Returns the fitness and the cost of an individual: FLOPs per image or parameters."""
    needed = individual.cost.forward_flops if cost == "flops" else individual.cost.parameters
    return Point(individual.fitness, needed)


def random() -> Selection:
    """Returns uniform draws of victim and parent, which ignore fitness. The control of Real et al. 2017, figure 2."""
    return Selection(victim=_anyone, parent=_anyone)


def built_in(settings: Settings) -> dict[str, Callable[..., Selection]]:
    """Returns the factories of the selections by name; the settings give the defaults of their parameters."""
    size = settings.sample_size

    def pareto_with(sample_size: int = size) -> Selection:
        # The cost is a setting alone, since the front of a run is drawn over it too.
        return pareto(sample_size, settings.pareto_cost)

    return {
        "tournament": tournament,
        "aging": functools.partial(aging, sample_size=size),
        "pareto": pareto_with,
        "random": random,
    }


def _check_sample_size(sample_size: int) -> None:
    if isinstance(sample_size, bool) or not isinstance(sample_size, int) or sample_size < 1:
        raise ValueError(f"sample_size is {sample_size}, but must be a whole number, 1 or more")


def _standing(population: Population, cost: CostName) -> list[tuple[float, ...]]:
    """Returns a key for each of the living by which the better individual is the smaller one."""
    living = list(population)
    trained = [one for one in living if one.failure is None]
    ranked = iter(ranks([point_of(one, cost) for one in trained]))
    return [(False, *next(ranked), one.id) if one.failure is None else (True, one.id) for one in living]


def _draw(generator: np.random.Generator, population: Population, sample_size: int) -> list[int]:
    """Draws indices without replacement, fewer if fewer individuals live."""
    size = min(sample_size, len(population))
    drawn: list[int] = generator.choice(len(population), size=size, replace=False).tolist()
    return drawn


def _best_of(sample_size: int, generator: np.random.Generator, population: Population) -> int:
    return max(_draw(generator, population, sample_size), key=lambda index: population[index].fitness)


def _worst_of(sample_size: int, generator: np.random.Generator, population: Population) -> int:
    drawn = _draw(generator, population, sample_size)
    # Reversed, because the first drawn wins a tie, so the last drawn of the least fit dies.
    return min(reversed(drawn), key=lambda index: population[index].fitness)


def _first_told(population: Population) -> int:
    events = [individual.event for individual in population]
    return events.index(min(events))


def _anyone(generator: np.random.Generator, population: Population) -> int:
    return int(generator.integers(len(population)))
