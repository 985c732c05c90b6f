"""Base classes of a layer type: an operation as a gene, and the same operation on an input of known shape.

This module imports no JAX. A layer type that needs it imports it in `apply`.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from jaxevo.search.space import ImageShape
from jaxevo.settings import ComputeDtype

if TYPE_CHECKING:
    import jax

    from jaxevo.layers.convolution import Convolve

Arrays = dict[str, dict[str, tuple[int, ...]]]
"""{kind of Flax module: {array name: shape}}; a layer's modules are named `{kind}_{position}`."""


class Flops(NamedTuple):
    """FLOPs for one image.

    Attributes:
        forward: of the forward pass.
        backward: of the gradient with respect to the layer's own arrays, without the forward pass.
        backward_input: of the gradient with respect to the layer's input, if that depends on a parameter.
    """

    forward: int
    backward: int
    backward_input: int


class How(NamedTuple):
    """Options of a network's computation.

    Attributes:
        dtype: of activations and products.
        convolve: replacement for `jax.lax.conv_general_dilated`, with the same arguments.
    """

    dtype: ComputeDtype
    convolve: "Convolve"


class Operation(abc.ABC):
    """An operation as a gene: a frozen dataclass, checked on construction, for inputs of any shape.

    Attributes:
        name: of the layer type, in JSON.
        computes: False if it only passes its input on.
    """

    name: ClassVar[str]
    computes: ClassVar[bool] = True

    @classmethod
    @abc.abstractmethod
    def draw(cls, generator: np.random.Generator) -> Self:
        """Returns the operation of an inserted layer, drawn at random."""

    @abc.abstractmethod
    def at(self, input_shape: ImageShape) -> "Placed":
        """Returns the operation on inputs of a shape in a normal form: operations that compute the same are equal."""

    def channels(self, input_channels: int) -> int:
        """Returns the number of output channels."""
        return input_channels

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Returns the names of the genes."""
        return tuple(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]  # Each is a dataclass.

    def to_json(self) -> dict[str, Any]:
        """Returns the genes as JSON values, by name."""
        return {name: getattr(self, name) for name in self.fields()}

    @classmethod
    def from_json(cls, genes: Mapping[str, Any]) -> Self:
        """Returns the operation that `to_json` wrote; raises `ValueError` for invalid values."""
        return cls(**genes)


@dataclasses.dataclass(frozen=True)
class Placed(abc.ABC):
    """An operation on inputs of known shape: a frozen dataclass of all that its computation depends on.

    Attributes:
        input_shape: height, width, channels.
        shape: of the output.
    """

    input_shape: ImageShape
    shape: ImageShape

    @property
    def arrays(self) -> Arrays:
        """The shapes of its trainable arrays."""
        return {}

    @property
    def matrix_flops(self) -> Flops:
        """FLOPs of its convolutions, as XLA counts them."""
        return Flops(0, 0, 0)

    @property
    def element_flops(self) -> Flops:
        """FLOPs of its elementwise operations, estimated."""
        return Flops(0, 0, 0)

    @property
    def stored(self) -> int:
        """Elements per image of activations that the gradient needs."""
        return 0

    @abc.abstractmethod
    def apply(self, point: "jax.Array", position: int, how: How) -> "jax.Array":
        """Returns the output [batch, height, width, channels] of a point; called in a compact Flax method."""

    @abc.abstractmethod
    def source(self, position: int) -> list[str]:
        """Returns the lines of Python that apply it to `x`."""

    def definitions(self, dtype: str) -> list[str]:
        """Returns lines of Python that its `source` needs once.

        Args:
            dtype: an argument for Flax's modules; empty for float32. If it is not, a convolution must also be given
                `conv_general_dilated=convolve`, a function of the source.
        """
        return []

    @property
    @abc.abstractmethod
    def detail(self) -> str:
        """A short description."""


def elements(shape: ImageShape) -> int:
    """Returns the number of elements of an image or of its activations."""
    height, width, channels = shape
    return height * width * channels


def effective_stride(log2_stride: int, input_shape: ImageShape) -> int:
    """Returns the stride, at most the least power of two that reaches height and width.

    Under SAME padding all larger strides give the same single output position, but would overflow.
    """
    size: int = max(input_shape[:2])
    return 1 << min(log2_stride, (size - 1).bit_length())
