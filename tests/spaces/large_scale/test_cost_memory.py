"""The analytic memory of an individual, against XLA's analysis of what is compiled for it."""

import jax
import numpy as np
import pytest
from helpers.genotypes import BN_RELU, EXAMPLES, convolution, random_genotype

from jaxevo.layers.convolution import convolve_on
from jaxevo.networks.training import carry_shapes, make_evaluate, make_train_step
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

BATCH, EVALUATED = 50, 500
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


def xla_bytes(genotype, shape, **options):
    """Returns what the compiled training step takes at once."""
    network, settings = Phenotype(architecture(genotype, shape), CLASSES, **options), Settings()
    carry = carry_shapes(variable_shapes(network), settings)
    batch = jax.ShapeDtypeStruct((BATCH, *shape), np.float32), jax.ShapeDtypeStruct((BATCH,), np.int32)
    step = jax.jit(make_train_step(network, settings), donate_argnums=0)
    return needed(step.lower(carry, batch, np.float32(0.1)))


def evaluation_xla_bytes(genotype, shape, **options):
    """Returns what the compiled evaluation takes at once."""
    network = Phenotype(architecture(genotype, shape), CLASSES, **options)
    images, labels = jax.ShapeDtypeStruct((EVALUATED, *shape), np.float32), jax.ShapeDtypeStruct((EVALUATED,), np.int32)
    evaluate = jax.jit(make_evaluate(network))
    return needed(evaluate.lower(variable_shapes(network), images, labels, np.int32(0)))


def needed(lowered):
    """Returns bytes of arguments, of results that are not written over them, and of all between."""
    analysis = lowered.compile().memory_analysis()
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return analysis.argument_size_in_bytes + results + analysis.temp_size_in_bytes


@pytest.mark.parametrize(("genotype", "shape"), CASES.values(), ids=CASES.keys())
def test_the_estimate_is_near_what_xla_needs(genotype, shape):
    ratio = cost(architecture(genotype, shape), CLASSES, BATCH).memory / xla_bytes(genotype, shape)
    assert LEAST <= ratio <= MOST


@pytest.mark.parametrize(("genotype", "shape"), CASES.values(), ids=CASES.keys())
def test_the_estimate_covers_the_evaluation(genotype, shape):
    """Where XLA makes one loop of a whole network, an evaluation takes far less."""
    both = cost(architecture(genotype, shape), CLASSES, BATCH, EVALUATED).memory
    assert both >= LEAST * evaluation_xla_bytes(genotype, shape)


@pytest.mark.parametrize("name", ["only identities", "rich", "deep", "linear", "wide", "random 22 on 32 pixels"])
def test_the_estimate_covers_bfloat16_too(name):
    genotype, shape = CASES[name]
    found = architecture(genotype, shape)
    assert cost(found, CLASSES, BATCH).memory >= xla_bytes(genotype, shape, compute_dtype="bfloat16")
    both = cost(found, CLASSES, BATCH, EVALUATED).memory
    assert both >= evaluation_xla_bytes(genotype, shape, compute_dtype="bfloat16")


ROWS = Genotype(0.1, (convolution(1, 2, (2, 2), activation=BN_RELU), convolution(2, 1, (1, 1), 1, BN_RELU)))


@pytest.mark.parametrize(("genotype", "shape"), [(ROWS, DIGITS), (ROWS, CIFAR), CASES["random 21 on 32 pixels"]])
def test_what_convolutions_by_rows_take_more_is_bounded(genotype, shape):
    by_rows = convolve_on("cpu", Settings(train_steps=2**20))
    found = architecture(genotype, shape)
    rows = sum(height for height, _, _ in found.shapes[1:])
    assert xla_bytes(genotype, shape, convolve=by_rows) <= cost(found, CLASSES, BATCH).memory + 8192 * BATCH * rows
