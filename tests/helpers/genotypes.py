"""Genotypes for tests: a few that a reader can draw, and random ones that only a chain of mutations makes."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from jaxevo.search.evolution import mutants
from jaxevo.search.space import ImageShape, Task
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution, Identity
from jaxevo.spaces.large_scale.mutation import MUTATIONS

LINEAR = Activation.LINEAR
BN_RELU = Activation.BATCH_NORM_RELU


def convolution(
    layer_id: int,
    factor: Fraction | int = 1,
    half: tuple[int, int] = (1, 1),
    log2_stride: int = 0,
    activation: Activation = LINEAR,
) -> Layer:
    """Returns a convolution layer; `half` is (half height, half width), so (1, 1) is 3 x 3."""
    return Layer(layer_id, Convolution(Fraction(factor), *half, log2_stride), activation)


def one_to_one(layer_id: int, activation: Activation = LINEAR) -> Layer:
    """Returns an identity layer."""
    return Layer(layer_id, Identity(), activation)


INITIAL = Genotype(0.1)
"""image -> pool"""

ONE_CONVOLUTION = Genotype(0.1, (convolution(1, activation=BN_RELU),))
"""image -> 1: conv -> pool"""

THREE_CONVOLUTIONS = Genotype(0.1, (convolution(1), convolution(2), convolution(3)))
"""image -> 1: conv -> 2: conv -> 3: conv -> pool"""

ONLY_IDENTITIES = Genotype(0.1, (one_to_one(1), one_to_one(2, BN_RELU)))
"""image -> 1: identity -> 2: identity, BN + ReLU -> pool"""

RICH = Genotype(
    0.1,
    (
        convolution(3, 4, activation=BN_RELU),
        one_to_one(1),
        convolution(7, Fraction(3, 2), (2, 0), 1),
        one_to_one(2, BN_RELU),
        convolution(5, 1, (0, 3), 0, BN_RELU),
    ),
    ((0, 1), (3, 7), (3, 5), (1, 2)),
)
"""image -> 3: conv -> 1: identity -> 7: conv / 2 -> 2: identity -> 5: conv -> pool, with four skips.

Its ids are out of order, and every mutation applies to it, in more than one way.
"""

EXAMPLES = {
    "initial": INITIAL,
    "one convolution": ONE_CONVOLUTION,
    "three convolutions": THREE_CONVOLUTIONS,
    "only identities": ONLY_IDENTITIES,
    "rich": RICH,
}


def with_skips(genotype: Genotype, skips: Sequence[tuple[int, int]]) -> Genotype:
    """Returns the genotype with other skips."""
    return Genotype(genotype.learning_rate, genotype.layers, tuple(skips))


def replaced(genotype, layer_id, **changes):
    """Returns the genotype with other genes in one of its convolutions."""
    layers = tuple(
        dataclasses.replace(layer, operation=dataclasses.replace(layer.operation, **changes))
        if layer.id == layer_id
        else layer
        for layer in genotype.layers
    )
    return dataclasses.replace(genotype, layers=layers)


def inserted(genotype, place, layer):
    """Returns the genotype with a further layer."""
    return dataclasses.replace(genotype, layers=(*genotype.layers[:place], layer, *genotype.layers[place:]))


def random_genotype(
    seed: int, mutations: int, image_shape: ImageShape, max_parameters: int | None = 100_000
) -> Genotype:
    """Returns what a chain of that many mutations makes of an initial individual.

    Args:
        seed: equal seeds give equal genotypes.
        mutations: length of the chain.
        image_shape: height, width, channels.
        max_parameters: budget that every link of the chain keeps to (ten classes); None for none.
    """

    def accepts(child: Genotype) -> bool:
        needed = cost(architecture(child, image_shape), num_classes=10, batch_size=1).parameters
        return max_parameters is None or needed <= max_parameters

    generator = np.random.default_rng(seed)
    genotype = INITIAL
    for _ in range(mutations):
        children = (child for _, child in mutants(generator, genotype, MUTATIONS, Task(image_shape, 10, 1)))
        genotype = next(filter(accepts, children))
    return genotype


CLASSES = 4
EVEN, ODD = (8, 8, 3), (9, 7, 2)

DRAWN = {
    "a 1 x 5 filter": Genotype(0.1, (convolution(1, 2, (0, 2)),)),
    "a 5 x 1 filter of stride 2": Genotype(0.1, (convolution(1, 2, (2, 0), 1, BN_RELU),)),
    "a filter larger than the image": Genotype(0.1, (convolution(1, 1, (6, 5), 1),)),
    "a stride larger than the image": Genotype(0.1, (convolution(1, 3, (1, 1), 5), convolution(2))),
    "a 1 x 1 filter of stride 2": Genotype(0.1, (convolution(1, 2, (0, 0), 1),)),
    "stride upon stride": Genotype(
        0.1, (convolution(1, 2, log2_stride=1, activation=BN_RELU), convolution(2, 1, (2, 2), 1))
    ),
    "linear identities everywhere": Genotype(
        0.1,
        (
            one_to_one(9),
            convolution(1, 2),
            one_to_one(8),
            one_to_one(7),
            one_to_one(2, BN_RELU),
            one_to_one(6),
        ),
        ((9, 8), (0, 7), (8, 2), (0, 2)),
    ),
    "two skips that become one pair of points": Genotype(
        0.1, (one_to_one(1), convolution(2), convolution(3)), ((0, 3), (1, 3))
    ),
    "a skip around linear identities": Genotype(0.1, (one_to_one(1), one_to_one(2)), ((0, 2),)),
    "a skip into a linear identity that counts": Genotype(
        0.1, (convolution(1, 2), one_to_one(2), convolution(3)), ((0, 2), (1, 3))
    ),
    "skips that shrink and lose channels": Genotype(
        0.1,
        (convolution(1, 4), convolution(2, Fraction(1, 4), (1, 1), 1), convolution(3, 1, (1, 1), 1)),
        ((0, 2), (1, 3), (0, 3)),
    ),
    "a skip that gains channels": Genotype(
        0.1, (convolution(1, 2), convolution(2, Fraction(3, 2), activation=BN_RELU)), ((0, 2),)
    ),
    "a skip over a stride of 4": Genotype(0.1, (convolution(1, 2, log2_stride=2), one_to_one(2, BN_RELU)), ((0, 2),)),
}
"""Networks that random ones would seldom be."""


def images_of(shape, seed=0, batch=4):
    return np.random.default_rng(seed).standard_normal((batch, *shape)).astype(np.float32)
