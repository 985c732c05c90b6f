"""Max pooling as a layer type."""

from dataclasses import dataclass
from typing import ClassVar, Self

from jaxevo.spaces.large_scale.layer_types.operation import Flops, Operation, Placed, elements


@dataclass(frozen=True)
class MaxPool(Operation):
    """The maximum of square windows, SAME padding, with a stride of 2."""

    size: int

    name: ClassVar[str] = "max_pool"

    def __post_init__(self) -> None:
        """Checks the genes; raises `ValueError`."""
        if type(self.size) is not int or not 2 <= self.size <= 9:
            raise ValueError(f"size is {self.size!r}, but must be a whole number from 2 to 9")

    @classmethod
    def draw(cls, generator) -> Self:
        return cls(2 + int(generator.integers(2)))

    def at(self, input_shape):
        height, width, channels = input_shape
        return PlacedMaxPool(input_shape, (-(-height // 2), -(-width // 2), channels), self.size)


@dataclass(frozen=True)
class PlacedMaxPool(Placed):
    """Max pooling of inputs of known shape."""

    size: int

    @property
    def element_flops(self):
        """As XLA counts: a comparison less than the window has elements, and twice that to find the largest again."""
        comparisons = elements(self.shape) * (self.size**2 - 1)
        return Flops(comparisons, 0, comparisons + elements(self.shape))

    @property
    def stored(self):
        return elements(self.shape)

    def apply(self, point, position, how):
        import flax.linen as nn

        return nn.max_pool(point, (self.size, self.size), strides=(2, 2), padding="SAME")

    def source(self, position):
        return [f'x = nn.max_pool(x, ({self.size}, {self.size}), strides=(2, 2), padding="SAME")']

    @property
    def detail(self):
        return f"max pool {self.size} x {self.size} / 2"
