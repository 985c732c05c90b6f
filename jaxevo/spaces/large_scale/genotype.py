"""What an individual is, before training.

A genotype is a backbone of layers from the image to the global average pool, with skips that join two of its points:
exactly what the graph of Real et al. 2017 can become under its mutations. Point 0 is the image, point i the
activations after layer i (counted from 1). A layer is one edge of the paper's graph with the vertex at its end:

    point[i] = activation(operation(point[i - 1]) + sum of the skips into point i)

The architecture is what of a genotype is compiled: a normal form without ids, learning rate, and the layers that
compute nothing. So genotypes that differ in these alone share one program, whatever their history.
"""

import enum
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

_LARGEST = 2**63 - 1
# As `str` writes one whose numbers are no larger.
_FRACTION = re.compile("[0-9]{1,19}(/[1-9][0-9]{0,18})?")

IMAGE = 0
"""The id of the backbone's first point, the image. Layers have ids from 1 up."""

ImageShape = tuple[int, int, int]
"""Height, width, channels."""


class Activation(enum.StrEnum):
    """What a point of the backbone does to the sum of what arrives there."""

    LINEAR = "linear"
    BATCH_NORM_RELU = "batch_norm_relu"


@dataclass(frozen=True)
class Convolution:
    """A convolution without bias, SAME padding; its channels are relative to its input's (factor 2: 16 in, 32 out)."""

    channel_factor: Fraction
    half_height: int
    half_width: int
    log2_stride: int

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

    def channels(self, input_channels: int) -> int:
        """Returns the number of output channels, at least 1, halves rounded up."""
        # Whole numbers give the same as the fractions that they stand for, several times as fast.
        numerator, denominator = self.channel_factor.as_integer_ratio()
        return max(1, (2 * input_channels * numerator + denominator) // (2 * denominator))

    @property
    def filter_shape(self) -> tuple[int, int]:
        """Height and width of the filters, both odd."""
        return 2 * self.half_height + 1, 2 * self.half_width + 1


@dataclass(frozen=True)
class Identity:
    """Passes its input on."""


Operation = Convolution | Identity


@dataclass(frozen=True)
class Layer:
    """One layer of the backbone; its id is stable under mutation, so that children find their parent's weights."""

    id: int
    operation: Operation
    activation: Activation

    def __post_init__(self) -> None:
        """Checks the fields; raises `ValueError`."""
        if type(self.id) is not int or not IMAGE < self.id <= _LARGEST:
            raise ValueError(f"a layer's id is {self.id!r}, but must be a whole number from {IMAGE + 1} to {_LARGEST}")
        if not isinstance(self.operation, Convolution | Identity):
            raise ValueError(
                f"the operation of layer {self.id} is {self.operation!r}, but must be Convolution or Identity"
            )
        if not isinstance(self.activation, Activation):
            raise ValueError(f"the activation of layer {self.id} is {self.activation!r}, but must be an Activation")


@dataclass(frozen=True)
class Genotype:
    """What evolution changes: the learning rate, the layers of the backbone, and the skips between its points.

    Attributes:
        learning_rate: of SGD, finite and above 0.
        layers: from image to pool, with distinct ids.
        skips: pairs (id of the source point, id of the target point), earlier to later and never between neighbours,
            which the backbone joins already; kept in backbone order.

    Raises:
        ValueError: on construction, naming what will not do.
    """

    learning_rate: float
    layers: tuple[Layer, ...] = ()
    skips: tuple[tuple[int, int], ...] = ()

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
                    raise ValueError(
                        f"skip {source} -> {target} names point {point!r}, which is no layer of this genotype"
                    )
            if position[target] - position[source] < 2:
                raise ValueError(
                    f"skip {source} -> {target} goes back, or joins neighbours, which the backbone joins already"
                )
        if len(set(self.skips)) != len(self.skips):
            raise ValueError(f"a skip stands twice: {self.skips}")
        ordered = sorted(self.skips, key=lambda skip: (position[skip[0]], position[skip[1]]))
        object.__setattr__(self, "skips", tuple(ordered))

    @property
    def points(self) -> tuple[int, ...]:
        """The ids of the backbone's points, the image first."""
        return (IMAGE, *(layer.id for layer in self.layers))

    @property
    def convolutions(self) -> int:
        """How many layers are convolutions."""
        return sum(isinstance(layer.operation, Convolution) for layer in self.layers)

    @property
    def fresh_id(self) -> int:
        """An id that no layer of this genotype has."""
        return max(self.points) + 1

    def channels(self, image_channels: int) -> tuple[int, ...]:
        """Returns the number of channels at every point, the image first."""
        channels = [image_channels]
        for layer in self.layers:
            operation = layer.operation
            channels.append(operation.channels(channels[-1]) if isinstance(operation, Convolution) else channels[-1])
        return tuple(channels)

    def to_json(self) -> dict[str, Any]:
        """Returns the genotype as JSON values; `genotype_from_json` reads them back exactly."""
        return {
            "learning_rate": self.learning_rate,
            "layers": [_layer_to_json(layer) for layer in self.layers],
            "skips": [list(skip) for skip in self.skips],
        }

    def computes_as(self, other: "Genotype") -> bool:
        """Returns whether layers and skips are those of the other: only the learning rate may differ."""
        return (self.layers, self.skips) == (other.layers, other.skips)

    @cached_property
    def sha256(self) -> str:
        """The hash of its JSON values, in hexadecimal; whoever hashes its birth and its event need not do it again."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def genotype_from_json(fields: Any) -> Genotype:
    """Reads what `Genotype.to_json` wrote.

    Raises:
        ValueError: with a sentence, for anything that is not a valid genotype: unknown or missing fields, cycles,
            foreign ids, numbers that are not finite.
    """
    _expect_fields("genotype", fields, ("learning_rate", "layers", "skips"))
    for name in ("layers", "skips"):
        if not isinstance(fields[name], list):
            raise ValueError(f"{name} is {fields[name]!r}, but must be a list")
    skips = []
    for skip in fields["skips"]:
        if not isinstance(skip, list) or [type(point) for point in skip] != [int, int]:
            raise ValueError(f"a skip is {skip!r}, but must be two layer ids")
        skips.append((skip[0], skip[1]))
    layers = tuple(_layer_from_json(layer) for layer in fields["layers"])
    return Genotype(fields["learning_rate"], layers, tuple(skips))


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
            stride = _effective_stride(operation.log2_stride, max(height, width))
            channels = operation.channels(channels)
            height, width = -(-height // stride), -(-width // stride)
            layers.append(ArchitectureLayer(operation.filter_shape, stride, channels, layer.activation))
        else:
            layers.append(ArchitectureLayer(None, 1, channels, layer.activation))
    skips = sorted((positions[source], positions[target]) for source, target in genotype.skips)
    return Architecture(image_shape, tuple(layers), tuple(skips))


def describe(genotype: Genotype, image_shape: ImageShape, num_classes: int) -> str:
    """Returns the genotype as text: one line a layer, with the shape after it and the skips that enter it."""
    names = {IMAGE: "image"} | {layer.id: f"layer {layer.id}" for layer in genotype.layers}
    height, width, _ = image_shape
    lines = [f"{'image':<42}{_shape_text(image_shape)}"]
    for layer, channels in zip(genotype.layers, genotype.channels(image_shape[2])[1:], strict=True):
        stride = 1
        if isinstance(layer.operation, Convolution):
            stride = _effective_stride(layer.operation.log2_stride, max(height, width))
        height, width = -(-height // stride), -(-width // stride)
        entering = [names[source] for source, target in genotype.skips if target == layer.id]
        skips = f"  + {', '.join(entering)}" if entering else ""
        text = f"{names[layer.id]:<9} {_layer_text(layer, stride)}"
        lines.append(f"{text:<41} {_shape_text((height, width, channels))}{skips}")
    lines.append(f"{'pool, classifier':<42}{num_classes}")
    lines.append(f"learning rate {genotype.learning_rate:.4g}")
    return "\n".join(lines)


def _check_skip_types(skips: Any) -> None:
    if not isinstance(skips, tuple):
        raise ValueError(f"skips is {skips!r}, but must be a tuple of pairs of layer ids")
    for skip in skips:
        if not isinstance(skip, tuple) or [type(point) for point in skip] != [int, int]:
            raise ValueError(f"skip {skip!r} will not do: it must be a pair of layer ids")


def _positions(genotype: Genotype, computing: tuple[Layer, ...]) -> dict[int, int]:
    """Returns each point's position among the points that compute; one that does not stands where its input does."""
    computing_ids = {layer.id for layer in computing}
    positions = {IMAGE: 0}
    last = 0
    for layer in genotype.layers:
        last += layer.id in computing_ids
        positions[layer.id] = last
    return positions


def _effective_stride(log2_stride: int, size: int) -> int:
    """Returns the stride, no larger than the least power of two that reaches `size`.

    Larger strides compute the same under SAME padding, one output position, and would overflow.
    """
    return 2 ** min(log2_stride, (size - 1).bit_length())


def _layer_to_json(layer: Layer) -> dict[str, Any]:
    operation = layer.operation
    if isinstance(operation, Identity):
        return {"id": layer.id, "operation": "identity", "activation": str(layer.activation)}
    return {
        "id": layer.id,
        "operation": "convolution",
        "activation": str(layer.activation),
        "channel_factor": str(operation.channel_factor),
        "half_height": operation.half_height,
        "half_width": operation.half_width,
        "log2_stride": operation.log2_stride,
    }


def _layer_from_json(fields: Any) -> Layer:
    common = ("id", "operation", "activation")
    kind = fields.get("operation") if isinstance(fields, Mapping) else None
    operation: Operation
    if kind == "convolution":
        _expect_fields("layer", fields, (*common, "channel_factor", "half_height", "half_width", "log2_stride"))
        factor = _fraction(fields["channel_factor"])
        operation = Convolution(factor, fields["half_height"], fields["half_width"], fields["log2_stride"])
    elif kind == "identity":
        _expect_fields("layer", fields, common)
        operation = Identity()
    else:
        raise ValueError(f"a layer is {fields!r}, but its operation must be 'convolution' or 'identity'")
    if fields["activation"] not in list(Activation):
        raise ValueError(f"activation is {fields['activation']!r}, but must be one of {[str(a) for a in Activation]}")
    return Layer(fields["id"], operation, Activation(fields["activation"]))


def _fraction(text: Any) -> Fraction:
    if not isinstance(text, str) or not _FRACTION.fullmatch(text):
        raise ValueError(f"channel_factor is {text!r}, but must be a fraction as text, such as '3/2'")
    return Fraction(text)


def _expect_fields(what: str, fields: Any, names: tuple[str, ...]) -> None:
    if not isinstance(fields, dict) or fields.keys() != set(names):
        given = sorted(map(str, fields)) if isinstance(fields, dict) else fields
        raise ValueError(f"a {what} has the fields {given!r}, but must have {sorted(names)}")


def _layer_text(layer: Layer, stride: int) -> str:
    ending = ", BN + ReLU" if layer.activation is Activation.BATCH_NORM_RELU else ""
    if isinstance(layer.operation, Identity):
        return f"identity{ending}"
    height, width = layer.operation.filter_shape
    striding = f" / {stride}" if stride > 1 else ""
    return f"conv {height} x {width}{striding}{ending}"


def _shape_text(shape: ImageShape) -> str:
    return " x ".join(map(str, shape))
