"""The analytic FLOPs of convolutions and matrix products, against XLA's own count of the same equations."""

from fractions import Fraction

import jax
import numpy as np
import pytest
from helpers.genotypes import BN_RELU, EXAMPLES, convolution, one_to_one, random_genotype
from helpers.xla_flops import BATCH, CLASSES, equations, forward_flops, training_flops

from jaxevo.networks.training import carry_shapes, make_train_step
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.layer_types.convolution import PlacedConvolution
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

EVEN, ODD = (8, 8, 3), (9, 7, 2)


def drawn(*layers, skips=()):
    return Genotype(0.1, layers, tuple(skips))


DRAWN = {
    "3 x 3 on 8 x 8": (drawn(convolution(1, 4)), (8, 8, 1)),
    "3 x 3 after 3 x 3": (drawn(convolution(1, 2), convolution(2, 3)), (8, 8, 1)),
    "stride 2, even": (drawn(convolution(1, 2), convolution(2, 2, (1, 1), 1)), EVEN),
    "stride 2, odd": (drawn(convolution(1, 2), convolution(2, 2, (1, 1), 1)), ODD),
    "stride 2 twice": (
        drawn(convolution(1, 2, (1, 1), 1), convolution(2, 1, (1, 1), 1), convolution(3)),
        ODD,
    ),
    "stride 4": (drawn(convolution(1), convolution(2, 2, (1, 2), 2)), ODD),
    "a stride larger than the image": (drawn(convolution(1), convolution(2, 2, (1, 1), 7)), EVEN),
    "1 x 7 and 7 x 1": (drawn(convolution(1, 2, (0, 3)), convolution(2, 1, (3, 0), 1)), EVEN),
    "1 x 1 of stride 2": (drawn(convolution(1, 2, (0, 0)), convolution(2, 2, (0, 0), 1)), ODD),
    "a filter larger than the image": (drawn(convolution(1), convolution(2, 1, (9, 6), 1)), EVEN),
    "fewer channels": (drawn(convolution(1, 4), convolution(2, Fraction(1, 3))), EVEN),
    "batch norm first": (drawn(one_to_one(1, BN_RELU), convolution(2, 2)), EVEN),
    "sums of the image first": (
        drawn(one_to_one(1), one_to_one(2), convolution(3, 2), convolution(4), skips=[(0, 2)]),
        EVEN,
    ),
    "only sums of the image": (drawn(one_to_one(1), one_to_one(2), skips=[(0, 2)]), EVEN),
    "the image over a convolution": (
        drawn(convolution(1, 2), convolution(2, 2, (1, 1), 1), convolution(3), skips=[(0, 2), (0, 3), (1, 3)]),
        ODD,
    ),
    "on a line": (drawn(convolution(1, 2, (1, 1)), convolution(2, 2, (1, 1), 1)), (1, 9, 1)),
    "on one pixel": (drawn(convolution(1, 2), convolution(2, 2, (2, 1), 1)), (1, 1, 3)),
}
RANDOM = {
    f"random {seed}": (random_genotype(seed, 25, shape, 5_000), shape)
    for seed, shape in zip(range(20, 34), 7 * (EVEN, ODD), strict=True)
}
CASES = DRAWN | {name: (genotype, EVEN) for name, genotype in EXAMPLES.items()} | RANDOM
over_cases = pytest.mark.parametrize(("genotype", "shape"), CASES.values(), ids=CASES.keys())


@over_cases
def test_the_forward_pass_costs_what_xla_counts(genotype, shape):
    found = cost(architecture(genotype, shape), CLASSES, BATCH)
    assert BATCH * found.forward_matrix_flops == forward_flops(genotype, shape)


@over_cases
def test_a_training_step_costs_what_xla_counts(genotype, shape):
    found = cost(architecture(genotype, shape), CLASSES, BATCH)
    expected = training_flops(genotype, shape)
    assert BATCH * (found.forward_matrix_flops + found.backward_matrix_flops) == expected


def test_the_random_genotypes_have_convolutions_and_skips_of_all_kinds():
    found = [architecture(genotype, shape) for genotype, shape in RANDOM.values()]
    operations = [layer.operation for compiled in found for layer in compiled.layers]
    convolutions = [operation for operation in operations if isinstance(operation, PlacedConvolution)]
    assert {operation.stride > 1 for operation in convolutions} == {True, False}
    assert {operation.filter_shape for operation in convolutions} > {(3, 3)}
    assert any(compiled.skips for compiled in found)
    assert len(convolutions) > 20


def test_the_equations_counted_are_all_there():
    # Forward and filter gradient of the first convolution; all three of the second and of the classifier.
    genotype = drawn(convolution(1, 2), convolution(2))
    network, settings = Phenotype(architecture(genotype, EVEN), CLASSES), Settings()
    carry = carry_shapes(variable_shapes(network), settings)
    batch = np.zeros((BATCH, *EVEN), np.float32), np.zeros(BATCH, np.int32)
    jaxpr = jax.make_jaxpr(make_train_step(network, settings))(carry, batch, np.float32(0.1)).jaxpr
    names = [equation.primitive.name for equation in equations(jaxpr)]
    assert (names.count("conv_general_dilated"), names.count("dot_general")) == (5, 3)
