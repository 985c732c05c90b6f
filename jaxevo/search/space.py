"""The interface of search spaces, and the costs, mutations and drawings that a space returns.

A space is a value passed to the evolution. Only the space reads its genotypes.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

G = TypeVar("G")

ImageShape = tuple[int, int, int]
"""Height, width, channels."""


@dataclass(frozen=True)
class Task:
    """The task of an evolution, as far as a search space must know it.

    Attributes:
        input_shape: shape of an input: height, width and channels of an image; empty if nothing is trained.
        num_classes: number of classes, 0 if nothing is trained.
        validation_images: number of validation images.
    """

    input_shape: tuple[int, ...] = ()
    num_classes: int = 0
    validation_images: int = 0

    @property
    def image_shape(self) -> ImageShape:
        """Height, width and channels of an image; raises `ValueError` if the inputs are no images."""
        if len(self.input_shape) != 3:
            raise ValueError(f"the inputs have shape {self.input_shape}, but must be images: height, width, channels")
        height, width, channels = self.input_shape
        return height, width, channels


@dataclass(frozen=True)
class Cost:
    """The cost of an architecture.

    Attributes:
        parameters: number of trainable parameters, without running statistics.
        forward_flops: FLOPs of the forward pass of one image.
        backward_flops: FLOPs of the gradient of one image, without the forward pass.
        forward_matrix_flops: the part of `forward_flops` in convolutions and matrix products.
        backward_matrix_flops: the part of `backward_flops` in convolutions and matrix products.
        memory: estimated bytes of training or evaluation, whichever takes more.
        seconds: virtual seconds of a training, without overheads; None to derive them from the FLOPs.
    """

    parameters: int = 0
    forward_flops: int = 0
    backward_flops: int = 0
    forward_matrix_flops: int = 0
    backward_matrix_flops: int = 0
    memory: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Makes the numbers Python's, such as those of NumPy; raises `ValueError` for one that cannot be meant."""
        for name, value in vars(self).items():
            if type(value) is int and value >= 0:
                continue
            if name == "seconds" and value is None:
                continue
            if not isinstance(value, (int, float, np.number)) or not 0 <= value < math.inf:
                raise ValueError(f"the cost {name} is {value!r}, but must be a finite number, 0 or more")
            object.__setattr__(self, name, float(value) if name == "seconds" else int(value))

    @property
    def training_flops(self) -> int:
        """FLOPs of one image in a training step."""
        return self.forward_flops + self.backward_flops


class Training(NamedTuple):
    """The evolved settings of a training.

    Attributes:
        learning_rate: of SGD, finite and above 0.
    """

    learning_rate: float


class Mutation(NamedTuple, Generic[G]):
    """A mutation.

    Attributes:
        name: as recorded in births and histories.
        apply: a pure function `(generator, genotype, task) -> child`; None if it does not apply, for example the
            removal of a skip from a genotype without skips.
        inherits: True if the child starts from its parent's weights.
        weight: odds of being drawn, relative to those of the other mutations; finite, 0 or more.
    """

    name: str
    apply: Callable[[np.random.Generator, G, Task], G | None]
    inherits: bool = True
    weight: float = 1.0


class Box(NamedTuple):
    """A box of a drawing.

    Attributes:
        title: its name.
        detail: what it computes; may be empty.
        shape: of its output for one image.
        label: its short name in figures, such as "C+BN+R"; if empty, the title is shown.
        shaded: True to fill it in figures, for example if it is not linear.
    """

    title: str
    detail: str
    shape: tuple[int, ...]
    label: str = ""
    shaded: bool = False


class Drawing(NamedTuple):
    """A network as boxes and edges, from which text and figures are made.

    Attributes:
        boxes: in topological order.
        edges: pairs of indices into `boxes`, from an earlier to a later one.
        caption: further facts; may be empty.
    """

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    caption: str


MutationFactory = Callable[..., Sequence[Mutation[G]]]
"""A function of parameters, given by name, that returns a set of mutations."""


class SearchSpace(ABC, Generic[G]):
    """A search space: genotypes, their mutations and their architectures.

    Derive a class from it. Six methods must be written; the others have defaults. Nothing here may need JAX: networks
    are the second half of a space, which `network` names.

    Attributes:
        version: recorded in the manifest of a run; change it when the space's results change.
        network: the space's networks as `module:object`, where an empty module stands for the one that holds the
            space: a function without arguments that returns a `jaxevo.spaces.network_space.NetworkSpace`. None for a
            space in which nothing is trained, which then measures its genotypes itself (`measure`).
    """

    version: str = "1"
    network: str | None = None

    @property
    @abstractmethod
    def mutations(self) -> Mapping[str, MutationFactory[G]]:
        """The sets of mutations by name, the default first; see `Doors.mutations`."""

    @abstractmethod
    def initial(self, generator: np.random.Generator, task: Task) -> G:
        """Returns the genotype of an initial individual, which may be drawn."""

    @abstractmethod
    def to_json(self, genotype: G) -> Any:
        """Returns a genotype as JSON values. Their hash goes into the fingerprint of the run."""

    @abstractmethod
    def from_json(self, value: Any) -> G:
        """Returns the genotype that `to_json` wrote; raises `ValueError` with a sentence for anything else."""

    @abstractmethod
    def architecture(self, genotype: G, task: Task) -> Hashable:
        """Returns the compiled part of a genotype in a normal form: equal architectures share a program."""

    # Takes the architecture, not the genotype, so that a birth derives its architecture only once.
    @abstractmethod
    def cost(self, architecture: Any, task: Task, batch_size: int, evaluation_batch_size: int) -> Cost:
        """Returns the cost of an architecture, with its memory in batches of these sizes. Budgets are compared with it.

        The evaluation batch size is 0 to leave evaluation out of the memory.
        """

    def alike(self, genotype: G, other: G) -> bool:
        """Returns True if two genotypes certainly share a program, which then costs no virtual time to compile."""
        return bool(genotype == other)

    def training(self, genotype: G) -> Training:
        """Returns the part of a genotype that affects its training but not its architecture."""
        return Training(learning_rate=0.1)

    def summary(self, genotype: G, task: Task) -> Mapping[str, float | str]:
        """Returns a genotype's columns in histories and reports, by name, the most informative first."""
        return {}

    def drawing(self, genotype: G, task: Task) -> Drawing:
        """Returns a genotype as boxes and edges."""
        return Drawing((Box("genotype", json.dumps(self.to_json(genotype)), ()),), (), "")

    def measure(self, genotype: G, generator: np.random.Generator, task: Task) -> float:
        """Returns the validation accuracy of a genotype, in [0, 1]; called only if the space has no networks."""
        raise NotImplementedError(f"{type(self).__name__} has neither a network nor measures its genotypes")
