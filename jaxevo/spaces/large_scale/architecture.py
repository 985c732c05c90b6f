"""The architecture: the compiled part of a genotype.

It is a normal form without ids, learning rate and layers that compute nothing. So genotypes that differ only in these
share one program, whatever their history.
"""

from typing import NamedTuple

from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.genotype import IMAGE, Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types.operation import Placed


class ArchitectureLayer(NamedTuple):
    """One layer of an architecture."""

    operation: Placed
    activation: Activation


class Architecture(NamedTuple):
    """The compiled part of a genotype.

    Attributes:
        image_shape: height, width, channels.
        layers: from image to pool.
        skips: pairs of points by position (0 is the image), sorted; a pair may occur twice or join neighbours if a
            layer between its ends computed nothing.
    """

    image_shape: ImageShape
    layers: tuple[ArchitectureLayer, ...]
    skips: tuple[tuple[int, int], ...]

    @property
    def shapes(self) -> tuple[ImageShape, ...]:
        """Height, width and channels at every point, the image first (SAME padding)."""
        return (self.image_shape, *(layer.operation.shape for layer in self.layers))


def computing_layers(genotype: Genotype) -> tuple[Layer, ...]:
    """Returns the layers that compute something, in the order of the architecture's layers.

    A linear identity that no skip enters only passes its input on.
    """
    entered = {target for _, target in genotype.skips}
    return tuple(
        layer
        for layer in genotype.layers
        if layer.operation.computes or layer.activation is not Activation.LINEAR or layer.id in entered
    )


def architecture(genotype: Genotype, image_shape: ImageShape) -> Architecture:
    """Returns the architecture of a genotype for images of a shape."""
    computing = computing_layers(genotype)
    positions = _positions(genotype, computing)
    layers: list[ArchitectureLayer] = []
    shape = image_shape
    for layer in computing:
        operation = layer.operation.at(shape)
        shape = operation.shape
        layers.append(ArchitectureLayer(operation, layer.activation))
    skips = sorted((positions[source], positions[target]) for source, target in genotype.skips)
    return Architecture(image_shape, tuple(layers), tuple(skips))


def _positions(genotype: Genotype, computing: tuple[Layer, ...]) -> dict[int, int]:
    """Returns each point's position in the architecture; a point that computes nothing has its input's position."""
    computing_ids = {layer.id for layer in computing}
    positions = {IMAGE: 0}
    last = 0
    for layer in genotype.layers:
        last += layer.id in computing_ids
        positions[layer.id] = last
    return positions
