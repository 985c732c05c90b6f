"""Selection of parents and victims.

A selection is two pure functions over the living, `(generator, population) -> index`. The first drawn wins a tie in a
tournament, so the last drawn of the least fit dies.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxevo.search.population import Population
from jaxevo.settings import Settings

Choice = Callable[[np.random.Generator, Population], int]


class Selection(NamedTuple):
    """A choice of victims and parents; both functions need at least one living individual."""

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
    if sample_size < 1:
        raise ValueError(f"sample_size is {sample_size}, but must be 1 or more")
    return Selection(
        victim=lambda generator, population: _first_told(population),
        parent=lambda generator, population: _best_of(sample_size, generator, population),
    )


def random() -> Selection:
    """Returns uniform draws of victim and parent, which ignore fitness. The control of Real et al. 2017, figure 2."""
    return Selection(victim=_anyone, parent=_anyone)


def selection_from(settings: Settings) -> Selection:
    """Returns the selection that the settings name."""
    return {"tournament": tournament, "aging": lambda: aging(settings.sample_size), "random": random}[
        settings.selection
    ]()


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
