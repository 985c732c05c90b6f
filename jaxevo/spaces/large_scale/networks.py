"""The networks of the paper's search space: its second half, in Flax."""

from collections.abc import Sequence
from typing import Any

from jaxevo.search.space import Task
from jaxevo.settings import InheritanceName, Settings
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.inheritance import first_variables
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes
from jaxevo.spaces.large_scale.source import network_source
from jaxevo.spaces.network_space import Kernels, NetworkSpace, Variables


class LargeScaleNetworks(NetworkSpace):
    """The networks of Real et al. 2017; see `NetworkSpace`."""

    def module(
        self,
        architecture: Architecture,
        task: Task,
        settings: Settings,
        axis_name: str | None = None,
        kernels: Kernels = Kernels(),  # noqa: B008 - immutable
    ) -> Phenotype:
        """Returns the Flax module of an architecture."""
        return Phenotype(
            architecture, task.num_classes, settings.batch_norm_decay, axis_name, settings.compute_dtype, *kernels
        )

    def shapes(self, architecture: Architecture, task: Task, settings: Settings) -> Variables:
        """Returns the shapes of all arrays."""
        return variable_shapes(self.module(architecture, task, settings))

    def first_variables(
        self,
        seed: int,
        individual_id: int,
        genotype: Genotype,
        shapes: Variables,
        parent: tuple[Genotype, Variables] | None,
        inheritance: InheritanceName,
    ) -> Variables:
        """Returns the initial arrays of a training, NumPy float32; arrays are inherited by layer."""
        return first_variables(seed, individual_id, genotype, shapes, parent, inheritance)

    def source(
        self,
        architecture: Any,
        settings: Settings,
        class_names: Sequence[str],
        mean: Sequence[float],
        deviation: Sequence[float],
    ) -> str:
        """Returns the Python source of a network."""
        return network_source(architecture, settings, class_names, mean, deviation)
