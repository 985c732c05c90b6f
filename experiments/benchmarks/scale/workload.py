"""The births of an evolution and the cost of their trainings, for simulated lanes."""

from dataclasses import dataclass

import numpy as np

from experiments.benchmarks.scale.durations import Durations
from experiments.benchmarks.scale.executor import simulated_outcome
from jaxevo.doors.opening import built_in
from jaxevo.search.evolution import evolution
from jaxevo.search.space import Task
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Genotype


@dataclass(frozen=True)
class Workload:
    """Births in the order of their ids.

    Attributes:
        flops: of training and validation, integers [births].
        new: True for the first birth of an architecture, bool [births].
        changed: True if layers or skips differ from the parent's, bool [births].
    """

    flops: np.ndarray
    new: np.ndarray
    changed: np.ndarray

    def drawn(self, count: int, seed: int) -> "Workload":
        """Returns `count` births, drawn with replacement."""
        places = np.random.default_rng(seed).integers(len(self.flops), size=count)
        return Workload(self.flops[places], self.new[places], self.changed[places])

    def seconds(self, durations: Durations, sigma: float, seed: int) -> np.ndarray:
        """Returns seconds on a lane, float [births], with log-normal noise of deviation `sigma`."""
        noise = sigma * np.random.default_rng(seed).standard_normal(len(self.flops))
        return durations.without_noise(self.flops, self.new) * np.exp(noise)

    def virtual_seconds(self, birth_overhead: float, compile_overhead: float, virtual_rate: float) -> np.ndarray:
        """Returns seconds on the virtual clock, float [births]."""
        return birth_overhead + compile_overhead * self.changed + self.flops / virtual_rate


def evolved(settings: Settings, task: Task, first: int, last: int) -> Workload:
    """Evolves with made-up outcomes and returns the births `[first, last)`."""
    doors = built_in(settings)
    algorithm = evolution(settings, doors, task)
    state = algorithm.init()
    flops: list[int] = []
    new: list[bool] = []
    changed: list[bool] = []
    known: set[Architecture] = set()
    genotypes: list[Genotype] = []
    while state.births < last:
        state, births = algorithm.ask(state)
        for birth in births:
            flops.append(birth.flops)
            new.append(birth.architecture not in known)
            known.add(birth.architecture)
            genotypes.append(birth.genotype)
            parent = birth.parent_id
            changed.append(parent is not None and not doors.space.alike(birth.genotype, genotypes[parent]))
        state = algorithm.tell(state, simulated_outcome(state.in_flight[0], settings.seed))
    return Workload(*(np.array(values[first:last]) for values in (flops, new, changed)))
