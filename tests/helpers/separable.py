"""Depthwise-separable convolutions as a layer type."""

from dataclasses import dataclass
from typing import ClassVar, Self

from jaxevo.spaces.large_scale.layer_types.convolution import PlacedConvolution, taps_inside
from jaxevo.spaces.large_scale.layer_types.operation import (
    Flops,
    Operation,
    Placed,
    effective_stride,
    elements,
)


@dataclass(frozen=True)
class Separable(Operation):
    """A square filter for each channel, then one of one pixel; no bias, SAME padding, twice as many channels."""

    half: int
    log2_stride: int

    name: ClassVar[str] = "separable_convolution"

    def __post_init__(self) -> None:
        """Checks the genes; raises `ValueError`."""
        for name in ("half", "log2_stride"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} is {value!r}, but must be a whole number, 0 or more")

    @classmethod
    def draw(cls, generator) -> Self:
        return cls(1, int(generator.integers(2)))

    def at(self, input_shape):
        height, width, channels = input_shape
        stride = effective_stride(self.log2_stride, input_shape)
        shape = -(-height // stride), -(-width // stride), self.channels(channels)
        return PlacedSeparable(input_shape, shape, 2 * self.half + 1, stride)

    def channels(self, input_channels):
        return 2 * input_channels


@dataclass(frozen=True)
class PlacedSeparable(Placed):
    """A depthwise-separable convolution of inputs of known shape."""

    size: int
    stride: int

    @property
    def arrays(self):
        entering, leaving = self.input_shape[2], self.shape[2]
        return {
            "depthwise": {"kernel": (self.size, self.size, 1, entering)},
            "pointwise": {"kernel": (1, 1, entering, leaving)},
        }

    @property
    def matrix_flops(self):
        entering, (height, width, leaving) = self.input_shape[2], self.shape
        depthwise = 2 * taps_inside(self.input_shape, (self.size, self.size), self.stride) * entering
        pointwise = 2 * height * width * entering * leaving
        return Flops(depthwise + pointwise, depthwise + 2 * pointwise, depthwise)

    @property
    def stored(self):
        return elements((*self.shape[:2], self.input_shape[2])) + elements(self.shape)

    def apply(self, point, position, how):
        import flax.linen as nn

        same = {"padding": "SAME", "use_bias": False, "dtype": how.dtype, "conv_general_dilated": how.convolve}
        entering, stride = self.input_shape[2], (self.stride, self.stride)
        filters = (self.size, self.size)
        depthwise = nn.Conv(
            entering, filters, stride, feature_group_count=entering, name=f"depthwise_{position}", **same
        )
        return nn.Conv(self.shape[2], (1, 1), name=f"pointwise_{position}", **same)(depthwise(point))

    def source(self, position):
        entering, stride, size = self.input_shape[2], self.stride, self.size
        options = f"strides=({stride}, {stride}), feature_group_count={entering}"
        return [
            f'x = convolution({entering}, ({size}, {size}), {options}, name="depthwise_{position}")(x)',
            f'x = convolution({self.shape[2]}, (1, 1), name="pointwise_{position}")(x)',
        ]

    def definitions(self, dtype):
        return PlacedConvolution.definitions(self, dtype)

    @property
    def detail(self):
        return f"separable {self.size} x {self.size}{f' / {self.stride}' if self.stride > 1 else ''}"
