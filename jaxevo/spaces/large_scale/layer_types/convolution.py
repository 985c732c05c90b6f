"""The convolution layer type."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.layer_types.operation import (
    Arrays,
    Flops,
    How,
    Operation,
    Placed,
    effective_stride,
    elements,
)

if TYPE_CHECKING:
    import jax

_LARGEST = 2**63 - 1
# A fraction as `str` writes it, with numbers of at most as many digits as _LARGEST.
_FRACTION = re.compile("[0-9]{1,19}(/[1-9][0-9]{0,18})?")


@dataclass(frozen=True)
class Convolution(Operation):
    """A convolution without bias, SAME padding. Its channels are relative to its input's (factor 2: 16 in, 32 out)."""

    channel_factor: Fraction
    half_height: int
    half_width: int
    log2_stride: int

    name: ClassVar[str] = "convolution"

    def __post_init__(self) -> None:
        """Checks the fields; raises `ValueError`."""
        factor = self.channel_factor
        if not isinstance(factor, Fraction) or factor <= 0 or max(factor.as_integer_ratio()) > _LARGEST:
            raise ValueError(
                f"channel_factor is {factor!r}, but must be a Fraction above 0 of numbers up to {_LARGEST}"
            )
        for name in ("half_height", "half_width", "log2_stride"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} is {value!r}, but must be a whole number, 0 or more")

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Self:
        """Returns a 3 x 3 convolution of stride 1 or 2, with as many channels as its input."""
        return cls(Fraction(1), 1, 1, int(generator.integers(2)))

    def at(self, input_shape: ImageShape) -> "PlacedConvolution":
        """Returns the convolution on inputs of a shape."""
        height, width, channels = input_shape
        stride = effective_stride(self.log2_stride, input_shape)
        shape = -(-height // stride), -(-width // stride), self.channels(channels)
        return PlacedConvolution(input_shape, shape, self.filter_shape, stride)

    def channels(self, input_channels: int) -> int:
        """Returns the number of output channels, at least 1, halves rounded up."""
        # Integer arithmetic gives the same result as Fraction, several times as fast.
        numerator, denominator = self.channel_factor.as_integer_ratio()
        return max(1, (2 * input_channels * numerator + denominator) // (2 * denominator))

    @property
    def filter_shape(self) -> tuple[int, int]:
        """Height and width of the filters, both odd."""
        return 2 * self.half_height + 1, 2 * self.half_width + 1

    def to_json(self) -> dict[str, Any]:
        """Returns the genes as JSON values, the channel factor as text such as '3/2'."""
        return {
            "channel_factor": str(self.channel_factor),
            "half_height": self.half_height,
            "half_width": self.half_width,
            "log2_stride": self.log2_stride,
        }

    @classmethod
    def from_json(cls, genes: Mapping[str, Any]) -> Self:
        """Returns the operation that `to_json` wrote; raises `ValueError` for invalid values."""
        text = genes["channel_factor"]
        if not isinstance(text, str) or not _FRACTION.fullmatch(text):
            raise ValueError(f"channel_factor is {text!r}, but must be a fraction as text, such as '3/2'")
        return super().from_json({**genes, "channel_factor": Fraction(text)})


@dataclass(frozen=True)
class PlacedConvolution(Placed):
    """A convolution on inputs of known shape."""

    filter_shape: tuple[int, int]
    stride: int

    @property
    def arrays(self) -> Arrays:
        """The shape of the filters."""
        return {"convolution": {"kernel": (*self.filter_shape, self.input_shape[2], self.shape[2])}}

    @property
    def matrix_flops(self) -> Flops:
        """FLOPs of the convolution; each of its two gradients takes as many as the forward pass."""
        taps = taps_inside(self.input_shape, self.filter_shape, self.stride)
        flops = 2 * taps * self.input_shape[2] * self.shape[2]
        return Flops(flops, flops, flops)

    @property
    def stored(self) -> int:
        """Elements of the output."""
        return elements(self.shape)

    def apply(self, point: "jax.Array", position: int, how: How) -> "jax.Array":
        """Returns the convolution of a point."""
        import flax.linen as nn

        return nn.Conv(
            self.shape[2],
            self.filter_shape,
            strides=(self.stride, self.stride),
            padding="SAME",
            use_bias=False,
            dtype=how.dtype,
            conv_general_dilated=how.convolve,
            name=f"convolution_{position}",
        )(point)

    def source(self, position: int) -> list[str]:
        """Returns the line that calls the Flax module."""
        strides = f", strides=({self.stride}, {self.stride})" if self.stride > 1 else ""
        return [f'x = convolution({self.shape[2]}, {self.filter_shape}{strides}, name="convolution_{position}")(x)']

    def definitions(self, dtype: str) -> list[str]:
        """Returns the lines with the arguments that all convolutions share."""
        if not dtype:
            return ['convolution = partial(nn.Conv, padding="SAME", use_bias=False)']
        return [
            f"narrow = partial(nn.Conv{dtype}, conv_general_dilated=convolve)",
            'convolution = partial(narrow, padding="SAME", use_bias=False)',
        ]

    @property
    def detail(self) -> str:
        """The filter's size and the stride."""
        height, width = self.filter_shape
        return f"conv {height} x {width}{f' / {self.stride}' if self.stride > 1 else ''}"


def taps_inside(input_shape: ImageShape, filter_shape: tuple[int, int], stride: int) -> int:
    """Returns the number of filter taps on the image, over all output positions (SAME padding)."""
    height, width, _ = input_shape
    return _taps_of_axis(height, filter_shape[0], stride) * _taps_of_axis(width, filter_shape[1], stride)


@functools.lru_cache(maxsize=4096)
def _taps_of_axis(size: int, filter_size: int, stride: int) -> int:
    outputs = -(-size // stride)
    padding_before = max((outputs - 1) * stride + filter_size - size, 0) // 2
    starts = range(-padding_before, outputs * stride - padding_before, stride)
    return sum(min(start + filter_size, size) - max(start, 0) for start in starts)
