"""The genotype: the description of a network that mutations change.

It is a backbone of layers from the image to the global average pool, with skips that join two of its points: exactly
the graphs that the mutations of Real et al. 2017 can reach. Point 0 is the image, point i the activations after layer i
(counted from 1). A layer is one edge of the paper's graph with the vertex at its end:

    point[i] = activation(operation(point[i - 1]) + sum of the skips into point i)
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxevo.spaces.large_scale.layer_types import PAPER, Convolution, Operation

_LARGEST = 2**63 - 1

IMAGE = 0
"""The id of the backbone's first point, the image. Layers have ids from 1 up."""


class Activation(enum.StrEnum):
    """The activation of a point of the backbone, applied to the sum of its inputs."""

    LINEAR = "linear"
    BATCH_NORM_RELU = "batch_norm_relu"


@dataclass(frozen=True)
class Layer:
    """A layer of the backbone.

    Attributes:
        id: its number, stable under mutation, so that children find their parent's weights.
        operation: what it computes, such as a convolution.
        activation: what follows it: batch normalisation and ReLU, or nothing.
    """

    id: int
    operation: Operation
    activation: Activation

    def __post_init__(self) -> None:
        """Checks the fields; raises `ValueError`."""
        if type(self.id) is not int or not IMAGE < self.id <= _LARGEST:
            raise ValueError(f"a layer's id is {self.id!r}, but must be a whole number from {IMAGE + 1} to {_LARGEST}")
        if not isinstance(self.operation, Operation):
            raise ValueError(f"the operation of layer {self.id} is {self.operation!r}, but must be an Operation")
        if not isinstance(self.activation, Activation):
            raise ValueError(f"the activation of layer {self.id} is {self.activation!r}, but must be an Activation")


@dataclass(frozen=True)
class Genotype:
    """A genotype: the learning rate, the layers of the backbone, and the skips between its points.

    Attributes:
        learning_rate: of SGD, finite and above 0.
        layers: from image to pool, with distinct ids.
        skips: pairs (id of the source point, id of the target point), earlier to later and never between neighbours,
            which the backbone joins already; kept in backbone order.
        removed_id: the highest id of a removed layer if it is above those of all layers, otherwise 0. A new layer must
            not get it, or a birth that removes one and inserts another would give it the weights of the first.

    Raises:
        ValueError: on construction, naming the invalid field.
    """

    learning_rate: float
    layers: tuple[Layer, ...] = ()
    skips: tuple[tuple[int, int], ...] = ()
    removed_id: int = 0

    def __post_init__(self) -> None:
        """Checks the fields and puts the skips in backbone order; raises `ValueError`."""
        if type(self.learning_rate) is not float or not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate!r}, but must be a finite float above 0")
        if not isinstance(self.layers, tuple) or not all(isinstance(layer, Layer) for layer in self.layers):
            raise ValueError(f"layers is {self.layers!r}, but must be a tuple of Layer")
        _check_skip_types(self.skips)
        position = {IMAGE: 0} | {layer.id: index for index, layer in enumerate(self.layers, start=1)}
        if len(position) != len(self.layers) + 1:
            raise ValueError(f"two layers share an id: {[layer.id for layer in self.layers]}")
        for source, target in self.skips:
            for point in (source, target):
                if point not in position:
                    raise ValueError(f"skip {source} -> {target} names point {point!r}, which is not in this genotype")
            if position[target] - position[source] < 2:
                raise ValueError(
                    f"skip {source} -> {target} goes back, or joins neighbours, which the backbone joins already"
                )
        if len(set(self.skips)) != len(self.skips):
            raise ValueError(f"a skip occurs twice: {self.skips}")
        ordered = sorted(self.skips, key=lambda skip: (position[skip[0]], position[skip[1]]))
        object.__setattr__(self, "skips", tuple(ordered))
        if type(self.removed_id) is not int or not 0 <= self.removed_id < _LARGEST:
            raise ValueError(f"removed_id is {self.removed_id!r}, but must be a whole number from 0")
        if self.removed_id <= max(self.points):
            object.__setattr__(self, "removed_id", 0)

    @property
    def points(self) -> tuple[int, ...]:
        """The ids of the backbone's points, the image first."""
        return (IMAGE, *(layer.id for layer in self.layers))

    @property
    def convolutions(self) -> int:
        """The number of convolutional layers."""
        return sum(isinstance(layer.operation, Convolution) for layer in self.layers)

    @property
    def fresh_id(self) -> int:
        """An id that no layer of this genotype has, and no removed one had."""
        return max(*self.points, self.removed_id) + 1

    def channels(self, image_channels: int) -> tuple[int, ...]:
        """Returns the number of channels at every point, the image first."""
        channels = [image_channels]
        for layer in self.layers:
            channels.append(layer.operation.channels(channels[-1]))
        return tuple(channels)

    def to_json(self) -> dict[str, Any]:
        """Returns the genotype as JSON values; `genotype_from_json` reads them back exactly."""
        return {
            "learning_rate": self.learning_rate,
            "layers": [_layer_to_json(layer) for layer in self.layers],
            "skips": [list(skip) for skip in self.skips],
            **({"removed_id": self.removed_id} if self.removed_id else {}),
        }


def genotype_from_json(fields: Any, layer_types: Sequence[type[Operation]] = PAPER) -> Genotype:
    """Returns the genotype that `Genotype.to_json` wrote, with layers of these types only.

    Raises:
        ValueError: with a sentence, for anything that is not a valid genotype: unknown or missing fields, cycles,
            foreign ids, numbers that are not finite.
    """
    optional = ("removed_id",) if isinstance(fields, dict) and "removed_id" in fields else ()
    _expect_fields("genotype", fields, ("learning_rate", "layers", "skips", *optional))
    for name in ("layers", "skips"):
        if not isinstance(fields[name], list):
            raise ValueError(f"{name} is {fields[name]!r}, but must be a list")
    skips = []
    for skip in fields["skips"]:
        if not isinstance(skip, list) or [type(point) for point in skip] != [int, int]:
            raise ValueError(f"a skip is {skip!r}, but must be two layer ids")
        skips.append((skip[0], skip[1]))
    by_name = {layer_type.name: layer_type for layer_type in layer_types}
    layers = tuple(_layer_from_json(layer, by_name) for layer in fields["layers"])
    return Genotype(fields["learning_rate"], layers, tuple(skips), fields.get("removed_id", 0))


def _check_skip_types(skips: Any) -> None:
    if not isinstance(skips, tuple):
        raise ValueError(f"skips is {skips!r}, but must be a tuple of pairs of layer ids")
    for skip in skips:
        if not isinstance(skip, tuple) or [type(point) for point in skip] != [int, int]:
            raise ValueError(f"a skip is {skip!r}, but must be a pair of layer ids")


def _layer_to_json(layer: Layer) -> dict[str, Any]:
    operation = layer.operation
    return {
        "id": layer.id,
        "operation": operation.name,
        "activation": str(layer.activation),
        **operation.to_json(),
    }


def _layer_from_json(fields: Any, layer_types: Mapping[str, type[Operation]]) -> Layer:
    kind = fields.get("operation") if isinstance(fields, Mapping) else None
    if not isinstance(kind, str) or kind not in layer_types:
        names = " or ".join(map(repr, layer_types))
        raise ValueError(f"a layer is {fields!r}, but its operation must be {names}")
    genes = layer_types[kind].fields()
    _expect_fields("layer", fields, ("id", "operation", "activation", *genes))
    operation = layer_types[kind].from_json({name: fields[name] for name in genes})
    if fields["activation"] not in list(Activation):
        raise ValueError(f"activation is {fields['activation']!r}, but must be one of {[str(a) for a in Activation]}")
    return Layer(fields["id"], operation, Activation(fields["activation"]))


def _expect_fields(what: str, fields: Any, names: tuple[str, ...]) -> None:
    if not isinstance(fields, dict) or fields.keys() != set(names):
        given = sorted(map(str, fields)) if isinstance(fields, dict) else fields
        raise ValueError(f"a {what} has the fields {given!r}, but must have {sorted(names)}")
