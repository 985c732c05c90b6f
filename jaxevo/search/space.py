"""The protocol of search spaces, and the costs, mutations and drawings that a space returns.

A space is a value passed to the evolution. Only the space reads its genotypes.
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
    """The task of an evolution, as far as it must know the images.

    Attributes:
        image_shape: height, width, channels.
        num_classes: number of classes.
        validation_images: number of validation images.
    """

    image_shape: ImageShape
    num_classes: int
    validation_images: int


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
    """

    parameters: int
    forward_flops: int
    backward_flops: int
    forward_matrix_flops: int
    backward_matrix_flops: int
    memory: int


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


class SearchSpace(Protocol[G]):
    """A search space: genotypes, their mutations and their architectures."""

    @property
    def mutations(self) -> Sequence[Mutation[G]]:
        """The mutations, drawn by their weights. One of weight above 0 must apply to every genotype."""

    def initial(self) -> G:
        """Returns the genotype of every initial individual."""

    def to_json(self, genotype: G) -> Any:
        """Returns a genotype as JSON values."""

    def from_json(self, value: Any) -> G:
        """Returns the genotype that `to_json` wrote; raises `ValueError` with a sentence for anything else."""

    def sha256(self, genotype: G) -> str:
        """Returns a genotype's hash, which goes into the fingerprint of the run."""

    def architecture(self, genotype: G, task: Task) -> Hashable:
        """Returns the compiled part of a genotype in a normal form: equal architectures share a program."""

    def alike(self, genotype: G, other: G) -> bool:
        """Returns True if two genotypes differ at most in their `training`."""

    # Takes the architecture, not the genotype, so that a birth derives its architecture only once.
    def cost(self, architecture: Any, task: Task, batch_size: int, evaluation_batch_size: int) -> Cost:
        """Returns the cost of an architecture, with its memory in batches of these sizes."""

    def training(self, genotype: G) -> Training:
        """Returns the part of a genotype that affects its training but not its architecture."""

    def summary(self, genotype: G, task: Task) -> Mapping[str, float | str]:
        """Returns a genotype's columns in histories and reports, by name, the most informative first."""

    def drawing(self, genotype: G, task: Task) -> Drawing:
        """Returns a genotype's network as boxes and edges."""
