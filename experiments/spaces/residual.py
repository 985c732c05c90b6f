"""A search space of residual networks: blocks of two convolutions, of evolved widths, between pools."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxevo.search.space import Box, Cost, Drawing, Mutation, SearchSpace, Task, Training


@dataclass(frozen=True)
class Block:
    """A residual block: its id names its arrays, `width` counts the channels between its convolutions."""

    id: int
    width: int
    pool: bool


@dataclass(frozen=True)
class Genotype:
    """A residual network; `next_id` is that of its next block, so that no two of a lineage share one."""

    learning_rate: float
    blocks: tuple[Block, ...]
    next_id: int = 1


def blocks(add: float = 2.0, remove: float = 0.5) -> tuple[Mutation[Genotype], ...]:
    """Returns the mutations, with odds of two of them."""
    return (
        Mutation("ADD-BLOCK", add_block, weight=add),
        Mutation("REMOVE-BLOCK", remove_block, weight=remove),
        Mutation("ALTER-WIDTH", alter_width),
        Mutation("ALTER-POOL", alter_pool, weight=0.5),
        Mutation("ALTER-LEARNING-RATE", alter_learning_rate),
        Mutation("TRAIN-ON", lambda generator, genotype, task: genotype),
    )


def add_block(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype:
    """Inserts a block of 8 to 32 channels."""
    place = int(generator.integers(len(genotype.blocks) + 1))
    block = Block(genotype.next_id, 8 * int(generator.integers(1, 5)), bool(generator.integers(2)))
    blocks = (*genotype.blocks[:place], block, *genotype.blocks[place:])
    return dataclasses.replace(genotype, blocks=blocks, next_id=genotype.next_id + 1)


def remove_block(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Removes a block."""
    return _changed(generator, genotype, lambda block: ())


def alter_width(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Makes a block 8 channels wider or narrower."""
    more = int(generator.choice((-8, 8)))
    return _changed(generator, genotype, lambda one: (dataclasses.replace(one, width=max(8, one.width + more)),))


def alter_pool(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype | None:
    """Adds or removes the pool before a block."""
    return _changed(generator, genotype, lambda one: (dataclasses.replace(one, pool=not one.pool),))


def alter_learning_rate(generator: np.random.Generator, genotype: Genotype, task: Task) -> Genotype:
    """Multiplies the learning rate by 2^U(-1, 1)."""
    factor = round(2.0 ** generator.uniform(-1, 1), 12)
    return dataclasses.replace(genotype, learning_rate=genotype.learning_rate * factor)


def _changed(generator: np.random.Generator, genotype: Genotype, change: Callable[[Block], Any]) -> Genotype | None:
    """Changes a random block; None if there is none."""
    if not genotype.blocks:
        return None
    place = int(generator.integers(len(genotype.blocks)))
    changed = change(genotype.blocks[place])
    return dataclasses.replace(genotype, blocks=(*genotype.blocks[:place], *changed, *genotype.blocks[place + 1 :]))


def _sides(sides: list[int], block: Block) -> list[int]:
    """Returns height and width after a block; the pool rounds both up."""
    return [-(-side // 2) for side in sides] if block.pool else sides


class Residual(SearchSpace[Genotype]):
    """Residual networks of one width between blocks, so that arrays are inherited however blocks come and go."""

    network = ":networks"
    version = "2"

    def __init__(self, width: int = 16, learning_rate: float = 0.1) -> None:
        """Takes the channels between blocks, and the learning rate of the initial individuals."""
        self.width, self.learning_rate = width, learning_rate

    @property
    def mutations(self) -> Mapping[str, Any]:
        """The sets of mutations."""
        return {"blocks": blocks}

    def initial(self, generator: np.random.Generator, task: Task) -> Genotype:
        """Returns a network of one block, drawn."""
        return add_block(generator, Genotype(self.learning_rate, ()), task)

    def to_json(self, genotype: Genotype) -> Any:
        """Returns a genotype as JSON values."""
        return dataclasses.asdict(genotype)

    def from_json(self, value: Any) -> Genotype:
        """Returns the genotype that `to_json` wrote; raises `ValueError` for anything else."""
        if not isinstance(value, dict) or value.keys() != {"learning_rate", "blocks", "next_id"}:
            raise ValueError(f"a genotype is {value!r}, but must have a learning_rate, blocks and a next_id")
        return Genotype(value["learning_rate"], tuple(Block(**block) for block in value["blocks"]), value["next_id"])

    def architecture(self, genotype: Genotype, task: Task) -> tuple[int, tuple[Block, ...]]:
        """Returns the width between blocks, and the blocks."""
        return self.width, genotype.blocks

    def alike(self, genotype: Genotype, other: Genotype) -> bool:
        """Returns True if two genotypes differ at most in their learning rate."""
        return genotype.blocks == other.blocks

    def cost(self, architecture: Any, task: Task, batch_size: int, evaluation_batch_size: int) -> Cost:
        """Returns the cost of an architecture; all convolutions are 3 x 3."""
        *sides, channels = task.image_shape
        size, parameters = math.prod(sides), 9 * channels * self.width + (self.width + 1) * task.num_classes
        flops, stored = 18 * channels * self.width * size, self.width * size
        for block in architecture[1]:
            sides = _sides(sides, block)
            size = math.prod(sides)
            weights, both = 18 * self.width * block.width, self.width + block.width
            parameters += weights + 2 * both
            flops += (2 * weights + 20 * both) * size
            stored += 3 * both * size
        memory = 4 * (4 * parameters + max(2 * batch_size, evaluation_batch_size) * stored)
        return Cost(parameters, flops, 2 * flops, flops, 2 * flops, memory)

    def training(self, genotype: Genotype) -> Training:
        """Returns the learning rate."""
        return Training(genotype.learning_rate)

    def summary(self, genotype: Genotype, task: Task) -> Mapping[str, float | str]:
        """Returns the columns of histories and reports."""
        return {"blocks": len(genotype.blocks), "learning_rate": genotype.learning_rate}

    def drawing(self, genotype: Genotype, task: Task) -> Drawing:
        """Returns a box for the image and the stem, each block, and the classifier."""
        sides = list(task.image_shape[:2])
        boxes = [Box("image", "", task.image_shape), Box("stem", "conv 3 x 3", (*sides, self.width))]
        for block in genotype.blocks:
            sides = _sides(sides, block)
            detail = f"{'pool, ' if block.pool else ''}2 x conv 3 x 3, {block.width} between"
            boxes.append(Box(f"block {block.id}", detail, (*sides, self.width), f"{block.width}", True))
        boxes.append(Box("classifier", "", (task.num_classes,)))
        edges = tuple((place, place + 1) for place in range(len(boxes) - 1))
        return Drawing(tuple(boxes), edges, f"learning rate {genotype.learning_rate:.4g}")


def networks() -> Any:
    """Returns the networks of the space. Only this half needs JAX."""
    import flax.linen as nn
    import jax

    from jaxevo.spaces.network_space import Kernels, NetworkSpace

    class ResidualBlock(nn.Module):
        widths: tuple[int, int]
        normalise: Callable[..., Any]
        convolve: Callable[..., Any]

        @nn.compact
        def __call__(self, point: jax.Array) -> jax.Array:
            change = point
            for number, width in enumerate(self.widths, start=1):
                change = nn.relu(self.normalise(name=f"norm_{number}")(change))
                change = self.convolve(width, name=f"convolution_{number}")(change)
            return point + change

    class Network(nn.Module):
        architecture: Any
        classes: int
        decay: float
        axis_name: str | None
        dtype: str
        kernels: Kernels

        @nn.compact
        def __call__(self, images: jax.Array, train: bool) -> jax.Array:
            names = {"axis_name": self.axis_name, "momentum": self.decay, "dtype": self.dtype}
            norm: Callable[..., Any] = self.kernels.batch_norm
            normalise = functools.partial(norm, use_running_average=not train, **names)
            options = {"use_bias": False, "dtype": self.dtype, "conv_general_dilated": self.kernels.convolve}
            convolve = functools.partial(nn.Conv, kernel_size=(3, 3), **options)
            width, stack = self.architecture
            point = convolve(width, name="stem")(images)
            for block in stack:
                point = nn.avg_pool(point, (2, 2), (2, 2), padding="SAME") if block.pool else point
                point = ResidualBlock((block.width, width), normalise, convolve, name=f"block_{block.id}")(point)
            return nn.Dense(self.classes, name="classifier")(point.mean(axis=(1, 2)).astype("float32"))

    class Networks(NetworkSpace):
        def module(self, architecture, task, settings, axis_name=None, kernels=Kernels()):  # type: ignore[no-untyped-def]  # noqa: B008
            options = settings.batch_norm_decay, axis_name, settings.compute_dtype, kernels
            return Network(architecture, task.num_classes, *options)

    return Networks()
