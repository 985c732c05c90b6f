"""The search space as a value for the evolution."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxevo.search.space import Cost, Drawing, MutationFactory, SearchSpace, Task, Training
from jaxevo.spaces.large_scale import cost
from jaxevo.spaces.large_scale.architecture import Architecture, architecture
from jaxevo.spaces.large_scale.drawing import draw
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json
from jaxevo.spaces.large_scale.layer_types import PAPER, Operation
from jaxevo.spaces.large_scale.mutation_sets import mutation_set


@dataclass(frozen=True)
class LargeScale(SearchSpace[Genotype]):
    """The search space of Real et al. 2017.

    Attributes:
        initial_learning_rate: of the initial individuals, which have no layers.
        layer_types: layer types that genotypes may have.
    """

    initial_learning_rate: float
    layer_types: tuple[type[Operation], ...] = PAPER

    version = "1"
    network = "jaxevo.spaces.large_scale.networks:LargeScaleNetworks"

    @property
    def mutations(self) -> Mapping[str, MutationFactory[Genotype]]:
        """The sets of mutations by name: `paper`, `growth`. Parameters may be weights, by the names of mutations."""
        rate = float(self.initial_learning_rate)
        return {name: functools.partial(mutation_set, name, rate, self.layer_types) for name in ("paper", "growth")}

    def initial(self, generator: np.random.Generator, task: Task) -> Genotype:
        """Returns a network without hidden layers (Real et al. 2017, section 3.1)."""
        return Genotype(float(self.initial_learning_rate))

    def to_json(self, genotype: Genotype) -> dict[str, Any]:
        """Returns a genotype as JSON values."""
        return genotype.to_json()

    def from_json(self, value: Any) -> Genotype:
        """Returns the genotype that `to_json` wrote; raises `ValueError` with a sentence for anything else."""
        return genotype_from_json(value, self.layer_types)

    def architecture(self, genotype: Genotype, task: Task) -> Architecture:
        """Returns the compiled part of a genotype."""
        return architecture(genotype, task.image_shape)

    def alike(self, genotype: Genotype, other: Genotype) -> bool:
        """Returns True if two genotypes differ at most in their learning rate."""
        return (genotype.layers, genotype.skips) == (other.layers, other.skips)

    def cost(self, architecture: Architecture, task: Task, batch_size: int, evaluation_batch_size: int) -> Cost:
        """Returns the cost of an architecture."""
        return cost.cost(architecture, task.num_classes, batch_size, evaluation_batch_size)

    def training(self, genotype: Genotype) -> Training:
        """Returns the learning rate."""
        return Training(genotype.learning_rate)

    def summary(self, genotype: Genotype, task: Task) -> Mapping[str, float | str]:
        """Returns the columns of histories and reports."""
        needed = self.cost(self.architecture(genotype, task), task, batch_size=1, evaluation_batch_size=0)
        return {
            "layers": len(genotype.layers),
            "convolutions": genotype.convolutions,
            "skips": len(genotype.skips),
            "learning_rate": genotype.learning_rate,
            "parameters": needed.parameters,
            "flops_per_image": needed.forward_flops,
        }

    def drawing(self, genotype: Genotype, task: Task) -> Drawing:
        """Returns a genotype's network as boxes and edges."""
        return draw(genotype, task)
