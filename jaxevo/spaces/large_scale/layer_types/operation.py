"""What a layer type is: two classes, of an operation as a gene, and of the same operation on an input of known shape.

Nothing here imports JAX. A layer type that needs it imports it in `apply`.
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
        backward: of the gradient beside the forward pass, by the layer's own arrays.
        backward_input: of the gradient by the layer's input, if that depends on a parameter.
    """

    forward: int
    backward: int
    backward_input: int


class How(NamedTuple):
    """How networks compute.

    Attributes:
        dtype: of activations and products.
        convolve: in place of `jax.lax.conv_general_dilated`, with the same arguments.
    """

    dtype: ComputeDtype
    convolve: "Convolve"


class Operation(abc.ABC):
    """An operation as a gene: a frozen dataclass, valid from its construction on, for inputs of any shape.

    Attributes:
        name: of the layer type, in JSON.
        computes: whether it does more than to pass its input on.
    """

    name: ClassVar[str]
    computes: ClassVar[bool] = True

    @classmethod
    @abc.abstractmethod
    def draw(cls, generator: np.random.Generator) -> Self:
        """Returns what an insertion puts into a network."""

    @abc.abstractmethod
    def at(self, input_shape: ImageShape) -> "Placed":
        """Returns the operation on inputs of a shape, in a normal form: those that compute the same are equal."""

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
        """Reads what `to_json` returned; raises `ValueError` for values that will not do."""
        return cls(**genes)


@dataclasses.dataclass(frozen=True)
class Placed(abc.ABC):
    """An operation on inputs of known shape: a frozen dataclass of all that decides what is computed.

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
        """What its convolutions take, as XLA counts."""
        return Flops(0, 0, 0)

    @property
    def element_flops(self) -> Flops:
        """What its operations on single elements take, estimated."""
        return Flops(0, 0, 0)

    @property
    def stored(self) -> int:
        """Elements of activations for one image that the gradient needs."""
        return 0

    @abc.abstractmethod
    def apply(self, point: "jax.Array", position: int, how: How) -> "jax.Array":
        """Returns the output [batch, height, width, channels] of a point, in the scope of a compact Flax method."""

    @abc.abstractmethod
    def source(self, position: int) -> list[str]:
        """Returns the lines of Python that apply it to `x`."""

    def definitions(self, dtype: str) -> list[str]:
        """Returns lines of Python that its `source` needs once; `dtype` is empty or an argument for Flax's modules."""
        return []

    @property
    @abc.abstractmethod
    def detail(self) -> str:
        """What it computes, in a few words."""


def elements(shape: ImageShape) -> int:
    """Returns the number of elements of an image or of its activations."""
    height, width, channels = shape
    return height * width * channels


def effective_stride(log2_stride: int, input_shape: ImageShape) -> int:
    """Returns the stride, no larger than the least power of two that reaches height and width.

    Larger strides compute the same under SAME padding, one output position, and would overflow.
    """
    size: int = max(input_shape[:2])
    return 1 << min(log2_stride, (size - 1).bit_length())
