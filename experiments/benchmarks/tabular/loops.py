"""Searches of a table: a plain sequential loop, fresh random cells, and the engine with any number of workers."""

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.benchmarks.tabular.cells import Cells, other_operation, random_cell
from jaxevo.execution.measuring import measured
from jaxevo.search.births import Birth, Outcome
from jaxevo.search.doors import Doors
from jaxevo.search.evolution import Evolution, EvolutionState, evolution
from jaxevo.search.fitness import accuracy
from jaxevo.search.selection import aging
from jaxevo.search.space import Task
from jaxevo.settings import Settings

LIVING = 10
"""Living individuals of the plain loop."""
SAMPLE_SIZE = 3
_TASK = Task()


class Searched(NamedTuple):
    """A search of a table.

    Attributes:
        means: after each evaluation, the mean accuracy of the cell whose noisy accuracy was the best so far.
        seconds: time of each evaluation's end, by the training times of the table.
        fingerprint: of the engine; empty for the plain loops.
    """

    means: tuple[float, ...]
    seconds: tuple[float, ...]
    fingerprint: str = ""


def plain_aging(space: Cells, seed: int, evaluations: int) -> Searched:
    """Searches one cell after the other by aging evolution (Real et al. 2019), ten living and a sample of three."""
    generator = np.random.default_rng(seed)
    living: list[tuple[float, str]] = []
    seen = _Incumbent(space)
    while len(seen.means) < evaluations:
        if len(living) < LIVING:
            cell = random_cell(generator)
        else:
            sample = [living[place] for place in generator.choice(LIVING, size=SAMPLE_SIZE, replace=False)]
            cell = other_operation(generator, max(sample, key=lambda one: one[0])[1], _TASK)
        living = [*living, (seen.evaluate(cell, space.measure(cell, generator, _TASK)), cell)][-LIVING:]
    return seen.searched()


def random_cells(space: Cells, seed: int, evaluations: int) -> Searched:
    """Evaluates fresh random cells, one after the other."""
    generator = np.random.default_rng(seed)
    seen = _Incumbent(space)
    while len(seen.means) < evaluations:
        cell = random_cell(generator)
        seen.evaluate(cell, space.measure(cell, generator, _TASK))
    return seen.searched()


def settings_of(seed: int, population: int, workers: int, wall_clock: bool = False) -> Settings:
    """Returns the settings of the engine: the table's training times are all that its virtual clock counts."""
    return Settings(
        seed=seed,
        population_size=population,
        num_workers=workers,
        selection="aging",
        sample_size=SAMPLE_SIZE,
        mutations="edges",
        birth_overhead=0.0,
        compile_overhead=0.0,
        wall_clock=wall_clock,
    )


def engine(space: Cells, seed: int, evaluations: int, population: int, workers: int) -> Searched:
    """Searches with jaxevo's evolution, with outcomes told in virtual order."""
    return _evolved(
        space, settings_of(seed, population, workers), evaluations, lambda births: (births[0], births[0].due)
    )


def engine_by_wall_clock(
    space: Cells, seed: int, evaluations: int, population: int, workers: int, sigma: float = 0.3
) -> Searched:
    """Searches as `engine`, with outcomes told as they finish: trainings take log-normally longer or shorter."""
    noise = np.random.default_rng(seed)
    finishing: list[tuple[float, int]] = []
    ends: dict[int, float] = {}
    now = 0.0

    def next_finished(births: Sequence[Birth]) -> tuple[Birth, float]:
        nonlocal now
        for birth in births:
            if birth.id not in ends:
                seconds = birth.cost.seconds or 0.0
                ends[birth.id] = now + seconds * float(np.exp(sigma * noise.standard_normal()))
                heapq.heappush(finishing, (ends[birth.id], birth.id))
        now, birth_id = heapq.heappop(finishing)
        return next(birth for birth in births if birth.id == birth_id), now

    return _evolved(space, settings_of(seed, population, workers, wall_clock=True), evaluations, next_finished)


def _evolved(
    space: Cells, settings: Settings, evaluations: int, chosen: Callable[[Sequence[Birth]], tuple[Birth, float]]
) -> Searched:
    """Searches with the evolution, which is told the births that `chosen` names, with the times of their ends."""
    doors = Doors(space, space.mutations["edges"](), aging(SAMPLE_SIZE), accuracy())
    algorithm: Evolution = evolution(settings, doors, _TASK)
    state: EvolutionState = algorithm.init()
    seen = _Incumbent(space)
    seconds = []
    for _ in range(evaluations):
        state, _ = algorithm.ask(state)
        birth, end = chosen(tuple(state.in_flight))
        measure = measured(space, birth, _TASK, settings.seed)
        state = algorithm.tell(state, Outcome(birth.id, measure, None, None))
        seen.evaluate(birth.genotype, measure)
        seconds.append(end)
    return Searched(tuple(seen.means), tuple(seconds), state.fingerprint)


class _Incumbent:
    """The best cell so far by its noisy accuracy."""

    def __init__(self, space: Cells) -> None:
        self._table = space.table
        self._best = -1.0
        self.means: list[float] = []
        self._seconds: list[float] = []

    def evaluate(self, cell: str, noisy: float) -> float:
        """Takes an evaluated cell and returns its noisy accuracy."""
        entry = self._table[cell]
        if noisy > self._best:
            self._best, mean = noisy, entry.mean
        else:
            mean = self.means[-1]
        self.means.append(mean)
        self._seconds.append(entry.seconds)
        return noisy

    def searched(self) -> Searched:
        """Returns the search of one cell after the other."""
        return Searched(tuple(self.means), tuple(np.cumsum(self._seconds).tolist()))
