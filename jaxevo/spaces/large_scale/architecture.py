"""The architecture: what of a genotype is compiled.

It is a normal form without ids, learning rate, and the layers that compute nothing. So genotypes that differ in these
alone share one program, whatever their history.
"""

from typing import NamedTuple

from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.genotype import IMAGE, Activation, Convolution, Genotype, Layer


class ArchitectureLayer(NamedTuple):
    """One layer of an architecture; `filter_shape` is None for an identity, whose stride is 1."""

    filter_shape: tuple[int, int] | None
    stride: int
    channels: int
    activation: Activation


class Architecture(NamedTuple):
    """What of a genotype is compiled: numbers only, no ids, no learning rate, nothing that computes nothing.

    Attributes:
        image_shape: height, width, channels.
        layers: from image to pool.
        skips: pairs of points by position (0 is the image), sorted; one may stand twice or join neighbours where a
            layer between its ends computed nothing.
    """

    image_shape: ImageShape
    layers: tuple[ArchitectureLayer, ...]
    skips: tuple[tuple[int, int], ...]

    @property
    def shapes(self) -> tuple[ImageShape, ...]:
        """Height, width and channels at every point, the image first (SAME padding)."""
        shapes = [self.image_shape]
        for layer in self.layers:
            height, width, _ = shapes[-1]
            shapes.append((-(-height // layer.stride), -(-width // layer.stride), layer.channels))
        return tuple(shapes)


def computing_layers(genotype: Genotype) -> tuple[Layer, ...]:
    """Returns the layers that compute something, in the order of the architecture's layers.

    A linear identity that no skip enters only passes its input on.
    """
    entered = {target for _, target in genotype.skips}
    return tuple(
        layer
        for layer in genotype.layers
        if isinstance(layer.operation, Convolution) or layer.activation is not Activation.LINEAR or layer.id in entered
    )


def architecture(genotype: Genotype, image_shape: ImageShape) -> Architecture:
    """Returns what is compiled for a genotype that classifies images of that shape."""
    computing = computing_layers(genotype)
    positions = _positions(genotype, computing)
    layers: list[ArchitectureLayer] = []
    height, width, channels = image_shape
    for layer in computing:
        operation = layer.operation
        if isinstance(operation, Convolution):
            stride = effective_stride(operation.log2_stride, max(height, width))
            channels = operation.channels(channels)
            height, width = -(-height // stride), -(-width // stride)
            layers.append(ArchitectureLayer(operation.filter_shape, stride, channels, layer.activation))
        else:
            layers.append(ArchitectureLayer(None, 1, channels, layer.activation))
    skips = sorted((positions[source], positions[target]) for source, target in genotype.skips)
    return Architecture(image_shape, tuple(layers), tuple(skips))


def _positions(genotype: Genotype, computing: tuple[Layer, ...]) -> dict[int, int]:
    """Returns each point's position among the points that compute; one that does not stands where its input does."""
    computing_ids = {layer.id for layer in computing}
    positions = {IMAGE: 0}
    last = 0
    for layer in genotype.layers:
        last += layer.id in computing_ids
        positions[layer.id] = last
    return positions


def effective_stride(log2_stride: int, size: int) -> int:
    """Returns the stride, no larger than the least power of two that reaches `size`.

    Larger strides compute the same under SAME padding, one output position, and would overflow.
    """
    return 2 ** min(log2_stride, (size - 1).bit_length())
