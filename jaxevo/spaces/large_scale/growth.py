"""Mutations that favour growth: convolutions wide enough to be of use, and widths that stay when others change.

The paper's insertion has as many channels as its input, so networks on grey images stay one channel wide for long; and
all channels are relative, so one mutation changes every later layer. Here an insertion behind few channels draws its
width, and a mutation of one layer leaves the number of channels of all others as it is.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from jaxevo.search.space import Task
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution

Apply = Callable[[np.random.Generator, Genotype, Task], Genotype | None]

_NARROW = 8
"""Behind fewer channels an inserted convolution draws its width."""
_LEAST_SIZE_TO_STRIDE = 8
"""Smaller activations are not strided over: little would be left of them."""
_MULTIPLE = 8
"""Drawn and doubled widths from this on are multiples of it, which vector units and matrix units fill."""


def inserting_convolutions(
    initial_learning_rate: float, min_channels: int, max_channels: int, stride_probability: float
) -> Apply:
    """Returns an insertion of a 3 x 3 convolution with batch-norm + ReLU anywhere but before the first layer.

    Args:
        initial_learning_rate: which the first convolution of a lineage sets, since linear networks evolve rates that
            are too high for it.
        min_channels: least width that is drawn, log-uniformly, behind fewer than 8 channels.
        max_channels: greatest width that is drawn.
        stride_probability: of stride 2 with twice the channels of the input, unless it has few or the network's last
            activations are smaller than 8 x 8; otherwise stride 1 with as many channels.
    """

    def insert(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype:
        first = 1 if genotype.layers else 0
        place = first + int(generator.integers(len(genotype.layers) + 1 - first))
        strides = generator.random() < stride_probability and _smallest(genotype, task) >= _LEAST_SIZE_TO_STRIDE
        before = genotype.channels(task.image_shape[2])[place]
        if before < _NARROW:
            strides = False
            drawn = _rounded(_log_uniform(generator, min_channels, max_channels))
            width = min(max(drawn, min_channels), max_channels)
        else:
            width = _rounded(2 * before) if strides else before
        convolution = Convolution(Fraction(width, before), 1, 1, int(strides))
        layer = Layer(genotype.fresh_id, convolution, Activation.BATCH_NORM_RELU)
        rate = genotype.learning_rate if genotype.convolutions else initial_learning_rate
        layers = (*genotype.layers[:place], layer, *genotype.layers[place:])
        return _with_widths(dataclasses.replace(genotype, layers=layers, learning_rate=rate), genotype, task)

    return insert


def altering_channels(factor: float) -> Apply:
    """Returns a change of one convolution's channels, log-uniformly from half to `factor` times their number."""

    def alter(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
        convolutions = [layer for layer in genotype.layers if isinstance(layer.operation, Convolution)]
        if not convolutions:
            return None
        altered = convolutions[int(generator.integers(len(convolutions)))].id
        width = _widths(genotype, task)[altered]
        drawn = _rounded(_log_uniform(generator, width / 2, factor * width))
        return _with_widths(genotype, genotype, task, {altered: drawn}) if drawn != width else None

    return alter


def keeping_widths(apply: Apply) -> Apply:
    """Returns a mutation after which the layers that stay keep their number of channels."""

    def kept(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
        child = apply(generator, genotype, task)
        return None if child is None else _with_widths(child, genotype, task)

    return kept


def _widths(genotype: Genotype, task: Task) -> dict[int, int]:
    """Returns the number of channels at every point, by its id."""
    return dict(zip(genotype.points, genotype.channels(task.image_shape[2]), strict=True))


def _with_widths(child: Genotype, parent: Genotype, task: Task, changes: dict[int, int] | None = None) -> Genotype:
    """Returns the child with the channels that its parent's convolutions have, but for `changes`, by layer id."""
    wanted = _widths(parent, task) | (changes or {})
    channels, layers = task.image_shape[2], []
    for layer in child.layers:
        operation = layer.operation
        if isinstance(operation, Convolution):
            width = wanted.get(layer.id, operation.channels(channels))
            operation = dataclasses.replace(operation, channel_factor=Fraction(width, channels))
        layers.append(dataclasses.replace(layer, operation=operation))
        channels = operation.channels(channels)
    return dataclasses.replace(child, layers=tuple(layers))


def _smallest(genotype: Genotype, task: Task) -> int:
    """Returns the least height or width of the network's last activations."""
    shape = task.image_shape
    for layer in genotype.layers:
        shape = layer.operation.at(shape).shape
    return min(shape[:2])


def _log_uniform(generator: np.random.Generator, least: float, most: float) -> float:
    return float(least * (most / least) ** generator.random())


def _rounded(channels: float) -> int:
    if channels < _MULTIPLE:
        return max(1, round(channels))
    return _MULTIPLE * round(channels / _MULTIPLE)
