"""The eleven mutations of Real et al. 2017, section 3.2: one function each, in one table.

A mutated number is drawn uniformly from the other whole numbers between half and twice its value. There is no upper
limit, and numbers that may be 0 can leave 0 again.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np

from jaxevo.search.space import Mutation, Task
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution, Identity, Operation

T = TypeVar("T")
_DECIMALS = 12


def alter_learning_rate(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Multiplies the learning rate by 2^U(-1, 1); does not apply if the result would be 0 or infinite."""
    # Rounded, because C libraries differ in the last bit of a power, and a run must be read everywhere.
    learning_rate = genotype.learning_rate * round(2.0 ** float(generator.uniform(-1.0, 1.0)), _DECIMALS)
    return dataclasses.replace(genotype, learning_rate=learning_rate) if 0 < learning_rate < math.inf else None


def identity(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype:
    """Changes nothing, so that the child trains further."""
    return genotype


def reset_weights(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype:
    """Changes no gene, but the child inherits no weights."""
    return genotype


def insertion(name: str, layer_type: type[Operation]) -> Mutation[Genotype]:
    """Returns the mutation that inserts a layer of a type at a random place, with or without batch-norm + ReLU."""

    def insert(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype:
        operation = layer_type.draw(generator)
        place = int(generator.integers(len(genotype.layers) + 1))
        layer = Layer(genotype.fresh_id, operation, _pick(generator, tuple(Activation)))
        return dataclasses.replace(genotype, layers=(*genotype.layers[:place], layer, *genotype.layers[place:]))

    return Mutation(name, insert)


def remove_convolution(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Removes a random convolution with its activation; its skips go to the point before it.

    Skips between neighbours and duplicates are dropped.
    """
    index = _pick_convolution(generator, genotype)
    if index is None:
        return None
    points = genotype.points
    removed, before = points[index + 1], points[index]
    layers = genotype.layers[:index] + genotype.layers[index + 1 :]
    position = {point: place for place, point in enumerate(point for point in points if point != removed)}
    skips = []
    for skip in genotype.skips:
        source, target = (before if point == removed else point for point in skip)
        if position[target] - position[source] >= 2 and (source, target) not in skips:
            skips.append((source, target))
    removed_id = max(removed, genotype.removed_id)
    return dataclasses.replace(genotype, layers=layers, skips=tuple(skips), removed_id=removed_id)


def alter_stride(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Changes the log2 stride of a random convolution, the same for both axes."""
    index = _pick_convolution(generator, genotype)
    if index is None:
        return None
    log2_stride = _around_or_leaving_zero(generator, _convolution(genotype, index).log2_stride)
    return _replace_convolution(genotype, index, log2_stride=log2_stride)


def alter_number_of_channels(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Changes the number of output channels of a random convolution: 10 become 5 to 20.

    Later layers change too, since their channels are relative to their input's.
    """
    index = _pick_convolution(generator, genotype)
    if index is None:
        return None
    channels = genotype.channels(task.image_shape[2])
    moved = _around(generator, channels[index + 1])
    return _replace_convolution(genotype, index, channel_factor=Fraction(moved, channels[index]))


def filter_size(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Changes the height or the width of a random convolution's filters; sizes stay odd."""
    index = _pick_convolution(generator, genotype)
    if index is None:
        return None
    side = _pick(generator, ("half_height", "half_width"))
    half = _around_or_leaving_zero(generator, getattr(_convolution(genotype, index), side))
    return _replace_convolution(genotype, index, **{side: half})


def add_skip(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Adds a skip from a random point of the backbone to a later one, if nothing joins them yet."""
    points = genotype.points
    free = [
        (source, target)
        for place, source in enumerate(points)
        for target in points[place + 2 :]
        if (source, target) not in genotype.skips
    ]
    if not free:
        return None
    return dataclasses.replace(genotype, skips=(*genotype.skips, _pick(generator, free)))


def remove_skip(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Removes a random skip."""
    if not genotype.skips:
        return None
    removed = _pick(generator, genotype.skips)
    return dataclasses.replace(genotype, skips=tuple(skip for skip in genotype.skips if skip != removed))


MUTATIONS: tuple[Mutation[Genotype], ...] = (
    Mutation("ALTER-LEARNING-RATE", alter_learning_rate),
    Mutation("IDENTITY", identity),
    Mutation("RESET-WEIGHTS", reset_weights, inherits=False),
    insertion("INSERT-CONVOLUTION", Convolution),
    Mutation("REMOVE-CONVOLUTION", remove_convolution),
    Mutation("ALTER-STRIDE", alter_stride),
    Mutation("ALTER-NUMBER-OF-CHANNELS", alter_number_of_channels),
    Mutation("FILTER-SIZE", filter_size),
    insertion("INSERT-ONE-TO-ONE", Identity),
    Mutation("ADD-SKIP", add_skip),
    Mutation("REMOVE-SKIP", remove_skip),
)


def _pick(generator: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(generator.integers(len(options)))]


def _around(generator: np.random.Generator, value: int) -> int:
    """Draws a whole number from half to twice a value, except the value itself."""
    return _another(generator, value, -(-value // 2), 2 * value)


def _around_or_leaving_zero(generator: np.random.Generator, value: int) -> int:
    """Draws like `_around`, for a value that may be 0: 0 becomes 1, and 1 can become 0."""
    return _another(generator, value, value // 2, max(1, 2 * value))


def _another(generator: np.random.Generator, value: int, least: int, most: int) -> int:
    """Draws a whole number from `least` to `most`, except a value among them."""
    drawn = least + int(generator.integers(most - least))
    return drawn if drawn < value else drawn + 1


def _pick_convolution(generator: np.random.Generator, genotype: Genotype) -> int | None:
    """Returns the index of a random convolution among the layers, or None if there is none."""
    indices = [i for i, layer in enumerate(genotype.layers) if isinstance(layer.operation, Convolution)]
    return _pick(generator, indices) if indices else None


def _convolution(genotype: Genotype, index: int) -> Convolution:
    operation = genotype.layers[index].operation
    if not isinstance(operation, Convolution):
        raise TypeError(f"layer {index} is not a convolution")
    return operation


def _replace_convolution(genotype: Genotype, index: int, **changes: object) -> Genotype:
    layer = genotype.layers[index]
    operation = dataclasses.replace(_convolution(genotype, index), **changes)  # type: ignore[arg-type]
    layers = list(genotype.layers)
    layers[index] = dataclasses.replace(layer, operation=operation)
    return dataclasses.replace(genotype, layers=tuple(layers))
