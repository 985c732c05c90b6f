"""A search space without networks for tests, as a user's file would hold it: whole numbers, the larger the better."""

import os
from pathlib import Path

from jaxevo.search.fitness import Fitness
from jaxevo.search.selection import Selection
from jaxevo.search.space import Box, Cost, Drawing, Mutation, SearchSpace

# A hostile folder would do more than this.
if "JAXEVO_MARK" in os.environ:
    Path(os.environ["JAXEVO_MARK"]).write_text("its code ran")


class Ladder(SearchSpace[int]):
    """Whole numbers up to a height."""

    version = "3"

    def __init__(self, height: int = 20) -> None:
        self.height = height

    @property
    def mutations(self):
        return {"steps": steps}

    def initial(self, generator, task):
        return int(generator.integers(3))

    def to_json(self, genotype):
        return {"rung": genotype}

    def from_json(self, value):
        return value["rung"]

    def architecture(self, genotype, task):
        return genotype

    def cost(self, architecture, task, batch_size, evaluation_batch_size):
        return Cost(parameters=architecture, seconds=1.0 + architecture)

    def summary(self, genotype, task):
        return {"rung": genotype}

    def drawing(self, genotype, task):
        return Drawing((Box("ladder", f"rung {genotype}", ()),), (), "")

    def measure(self, genotype, generator, task):
        # As on another machine, where the last bits differ.
        shift = float(os.environ.get("JAXEVO_SHIFT", "0"))
        return min(1.0, genotype / self.height * (0.9 + 0.1 * generator.random()) + shift)


def steps(up: float = 1.0):
    return (
        Mutation("UP", lambda generator, genotype, task: genotype + 1, weight=up),
        Mutation("DOWN", lambda generator, genotype, task: genotype - 1 if genotype else None),
    )


def leaps(space, by: int = 2):
    """Mutations from outside: those of the space, and one more."""
    return (*space.mutations["steps"](), Mutation("LEAP", lambda generator, genotype, task: genotype + by))


def first_and_last():
    """A selection."""
    return Selection(victim=lambda generator, living: 0, parent=lambda generator, living: len(living) - 1)


def frugal(price: float = 0.01):
    """A fitness."""
    return Fitness(lambda outcome, cost: outcome.accuracy - price * cost.parameters)
