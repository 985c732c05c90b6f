"""The analytic memory of a training, against XLA's analysis of the compiled step."""

import jax
import numpy as np
import pytest
from genotypes import BN_RELU, EXAMPLES, convolution, random_genotype

from jaxevo.cost import cost
from jaxevo.genotype import Genotype, architecture
from jaxevo.phenotype import Phenotype, variable_shapes
from jaxevo.settings import Settings
from jaxevo.training import make_train_step, start

BATCH = 50
CLASSES = 10
DIGITS, CIFAR = (8, 8, 1), (32, 32, 3)
LEAST, MOST = 0.9, 3.0
"""Bounds of the estimate over XLA's figure: lower, a training could run out of memory; higher, the limit would forbid
what fits. The lowest is that of linear convolutions in a row, the highest that of an initial individual."""

DEEP = Genotype(
    0.1, tuple(convolution(number, 16 if number == 1 else 1, activation=BN_RELU) for number in range(1, 13))
)
LINEAR = Genotype(0.1, tuple(convolution(number, 16 if number == 1 else 1) for number in range(1, 9)))
WIDE = Genotype(0.1, (convolution(1, 64, activation=BN_RELU), convolution(2, 2, activation=BN_RELU), convolution(3)))
CASES = {
    **{name: (genotype, DIGITS) for name, genotype in EXAMPLES.items()},
    "deep": (DEEP, DIGITS),
    "linear": (LINEAR, DIGITS),
    "wide": (WIDE, DIGITS),
    **{
        f"random {seed} on {shape[0]} pixels": (random_genotype(seed, 40, shape), shape)
        for shape in (DIGITS, CIFAR)
        for seed in range(20, 24)
    },
}


def xla_bytes(genotype, shape):
    """Returns what the compiled training step takes at once: arguments, what is not written over them, and the rest."""
    network, settings = Phenotype(architecture(genotype, shape), CLASSES), Settings()
    carry = start(variable_shapes(network), settings)
    batch = jax.ShapeDtypeStruct((BATCH, *shape), np.float32), jax.ShapeDtypeStruct((BATCH,), np.int32)
    step = jax.jit(make_train_step(network, settings), donate_argnums=0)
    analysis = step.lower(carry, batch, np.float32(0.1)).compile().memory_analysis()
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return analysis.argument_size_in_bytes + results + analysis.temp_size_in_bytes


@pytest.mark.parametrize(("genotype", "shape"), CASES.values(), ids=CASES.keys())
def test_the_estimate_is_near_what_xla_needs(genotype, shape):
    ratio = cost(architecture(genotype, shape), CLASSES, BATCH).memory / xla_bytes(genotype, shape)
    assert LEAST <= ratio <= MOST
