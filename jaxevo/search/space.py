"""What evolution asks of a search space, and what it is told of genotypes: costs, mutations, drawings.

A space is a value that is handed to the evolution. Its genotypes are opaque here: only their space reads them.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

G = TypeVar("G")

ImageShape = tuple[int, int, int]
"""Height, width, channels."""


@dataclass(frozen=True)
class Task:
    """What evolution must know of the images.

    Attributes:
        image_shape: height, width, channels.
        num_classes: classes to tell apart.
        validation_images: images a validation takes.
    """

    image_shape: ImageShape
    num_classes: int
    validation_images: int


@dataclass(frozen=True)
class Cost:
    """The cost of an architecture.

    Attributes:
        parameters: trainable numbers (not the running statistics).
        forward_flops: FLOPs a forward pass of one image takes.
        backward_flops: FLOPs the gradient of one image takes beside the forward pass.
        forward_matrix_flops: the part of `forward_flops` in convolutions and matrix products.
        backward_matrix_flops: the part of `backward_flops` in convolutions and matrix products.
        memory: bytes that training or evaluation takes, whichever takes more, estimated.
    """

    parameters: int
    forward_flops: int
    backward_flops: int
    forward_matrix_flops: int
    backward_matrix_flops: int
    memory: int


class Training(NamedTuple):
    """The part of a training that is evolved.

    Attributes:
        learning_rate: of SGD, finite and above 0.
    """

    learning_rate: float


class Mutation(NamedTuple, Generic[G]):
    """A mutation.

    Attributes:
        name: by which births and histories know it.
        apply: a pure function `(generator, genotype, task) -> child`; None if it cannot apply, for example the removal
            of a skip where there is none.
        inherits: whether the child starts from its parent's weights.
    """

    name: str
    apply: Callable[[np.random.Generator, G, Task], G | None]
    inherits: bool = True


class Box(NamedTuple):
    """A point of a drawing.

    Attributes:
        title: its name.
        detail: what it computes; may be empty.
        shape: of its result for one image.
    """

    title: str
    detail: str
    shape: tuple[int, ...]


class Drawing(NamedTuple):
    """A network as boxes and edges, from which text and pictures are made.

    Attributes:
        boxes: in topological order.
        edges: pairs of indices into `boxes`, from an earlier to a later one.
        caption: what else there is to say; may be empty.
    """

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    caption: str


class SearchSpace(Protocol[G]):
    """The genotypes that evolution searches."""

    @property
    def mutations(self) -> Sequence[Mutation[G]]:
        """What may change a genotype; one is drawn uniformly. At least one applies to every genotype."""

    def initial(self) -> G:
        """Returns the genotype that every initial individual has."""

    def to_json(self, genotype: G) -> Any:
        """Returns a genotype as JSON values."""

    def from_json(self, value: Any) -> G:
        """Reads what `to_json` returned; raises `ValueError` with a sentence for anything else."""

    def sha256(self, genotype: G) -> str:
        """Returns a genotype's hash, which goes into the fingerprint of the run."""

    def architecture(self, genotype: G, task: Task) -> Hashable:
        """Returns what of a genotype is compiled, in a normal form: equal ones share a program."""

    def alike(self, genotype: G, other: G) -> bool:
        """Returns whether two genotypes differ in their `training` alone."""

    # Of the architecture rather than the genotype, so that a birth derives its architecture once.
    def cost(self, architecture: Any, task: Task, batch_size: int, evaluation_batch_size: int) -> Cost:
        """Returns the cost of an architecture, its memory for training and evaluation in batches of these sizes."""

    def training(self, genotype: G) -> Training:
        """Returns the part of a genotype that shapes its training alone."""

    def summary(self, genotype: G, task: Task) -> Mapping[str, float | str]:
        """Returns what histories and reports show of a genotype, by name of the column, the most telling first."""

    def drawing(self, genotype: G, task: Task) -> Drawing:
        """Returns a genotype's network as boxes and edges."""
