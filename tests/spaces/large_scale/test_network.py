"""The Flax module of a genotype, layer by layer against a plain NumPy forward pass."""

import dataclasses
import math

import chex
import jax
import numpy as np
import pytest
from helpers.genotypes import (
    BN_RELU,
    CLASSES,
    DRAWN,
    EVEN,
    EXAMPLES,
    ODD,
    convolution,
    images_of,
    one_to_one,
    random_genotype,
)
from helpers.numpy_network import fitted, forward, random_variables
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxevo.layers.batch_norm import BatchNorm
from jaxevo.layers.convolution import convolve_on
from jaxevo.networks.training import carry_shapes, make_evaluate, make_train_step
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.network import Phenotype, fit, variable_shapes

RANDOM = {f"random {seed}": random_genotype(seed, 30, EVEN, 3_000) for seed in range(10)}
GENOTYPES = {
    f"{name}, {shape[0]} x {shape[1]}": (genotype, shape)
    for number, (name, genotype) in enumerate({**EXAMPLES, **DRAWN, **RANDOM}.items())
    # Even and odd sizes for what is drawn by hand, either for what is random.
    for shape in ((EVEN, ODD) if name in DRAWN else ((EVEN, ODD)[number % 2],))
}
LONG_CHAINS = [name for name in GENOTYPES if name.startswith("random")]
over_genotypes = pytest.mark.parametrize(("genotype", "shape"), GENOTYPES.values(), ids=GENOTYPES.keys())
PASSES = {
    f"{name}, {'training' if train else 'inference'}": (genotype, shape, train)
    for name, (genotype, shape) in GENOTYPES.items()
    for train in (False, True)
    # Without batch normalisation the two are one. Long chains are slow to compile: some in inference only.
    if not train or (any(layer.activation is BN_RELU for layer in genotype.layers) and (name not in LONG_CHAINS[5:]))
}


def phenotype_of(genotype, shape, **settings):
    return Phenotype(architecture(genotype, shape), CLASSES, **settings)


def truncated(genotype, length):
    """Returns the first layers, with the skips among them."""
    layers = genotype.layers[:length]
    kept = {0, *(layer.id for layer in layers)}
    skips = tuple(skip for skip in genotype.skips if set(skip) <= kept)
    return dataclasses.replace(genotype, layers=layers, skips=skips)


def make_points(genotype, variables, shape, train):
    """Returns a function from images to what Flax computes at every point of the backbone and as logits.

    Each point is read from a network that ends there, through a 1 x 1 convolution that passes it on unchanged.
    """
    networks = []
    for length in range(len(genotype.layers) + 1):
        prefix = truncated(genotype, length)
        probe = convolution(prefix.fresh_id, 1, (0, 0))
        probed = dataclasses.replace(prefix, layers=(*prefix.layers, probe))
        network = phenotype_of(probed, shape)
        last = f"convolution_{len(network.architecture.layers)}"
        shapes = variable_shapes(network)
        arrays = {
            collection: {
                module: variables[collection][module] for module in modules if module not in (last, "classifier")
            }
            for collection, modules in shapes.items()
        }
        channels = network.architecture.shapes[-1][2]
        arrays["params"][last] = {"kernel": np.eye(channels, dtype=np.float32)[None, None]}
        arrays["params"]["classifier"] = jax.tree.map(
            lambda array: np.zeros(array.shape, np.float32), shapes["params"]["classifier"]
        )
        networks.append((network, arrays, last))

    def points(images):
        found = []
        for network, arrays, last in networks:
            _, state = network.apply(
                arrays, images, train=train, capture_intermediates=True, mutable=["intermediates", "batch_stats"]
            )
            found.append(state["intermediates"][last]["__call__"][0])
        whole = phenotype_of(genotype, shape)
        logits = whole.apply(variables, images, train=train, mutable=["batch_stats"] if train else False)
        return found, logits[0] if train else logits

    return points


def number_of_parameters(shapes):
    return sum(math.prod(shape.shape) for shape in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(("genotype", "shape", "train"), PASSES.values(), ids=PASSES.keys())
def test_every_point_and_the_logits_are_what_numpy_computes(genotype, shape, train):
    variables = random_variables(variable_shapes(phenotype_of(genotype, shape)), seed=1)
    images = images_of(shape)
    expected = forward(genotype, variables, images, train)
    points, logits = jax.jit(make_points(genotype, variables, shape, train))(images)
    for point_id, point in zip(genotype.points, points, strict=True):
        np.testing.assert_allclose(
            point, expected.points[point_id], rtol=1e-4, atol=1e-4, err_msg=f"at point {point_id}"
        )
    np.testing.assert_allclose(logits, expected.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decay", [0.9, 0.5])
@pytest.mark.parametrize("name", ["linear identities everywhere", "stride upon stride"])
def test_a_training_pass_moves_the_running_statistics_by_their_decay(name, decay):
    genotype = DRAWN[name]
    network = phenotype_of(genotype, ODD, batch_norm_decay=decay)
    variables = random_variables(variable_shapes(network), seed=2)
    images = images_of(ODD)
    _, updates = network.apply(variables, images, train=True, mutable=["batch_stats"])
    assert updates["batch_stats"].keys() == variables["batch_stats"].keys() != set()
    statistics = forward(genotype, variables, images, train=True).statistics.values()
    # One normalisation each, so that the two stand in one order.
    for (module, before), (mean, variance) in zip(variables["batch_stats"].items(), statistics, strict=True):
        after = updates["batch_stats"][module]
        np.testing.assert_allclose(after["mean"], decay * before["mean"] + (1 - decay) * mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(after["var"], decay * before["var"] + (1 - decay) * variance, rtol=1e-4)


def test_the_decay_of_the_running_statistics_is_that_of_the_paper():
    assert phenotype_of(Genotype(0.1), EVEN).batch_norm_decay == 0.9


@over_genotypes
def test_only_trainable_arrays_are_counted_and_they_are_what_the_cost_says(genotype, shape):
    found = architecture(genotype, shape)
    shapes = variable_shapes(Phenotype(found, CLASSES))
    assert number_of_parameters(shapes) == cost(found, CLASSES, batch_size=1).parameters


def test_the_arrays_of_a_network_are_those_of_its_layers():
    genotype = Genotype(0.1, (convolution(5, 2, (0, 1), activation=BN_RELU), one_to_one(3), one_to_one(4, BN_RELU)))
    shapes = jax.tree.map(lambda array: array.shape, variable_shapes(phenotype_of(genotype, (8, 8, 3))))
    kernels = {module: arrays["kernel"] for module, arrays in shapes["params"].items() if "kernel" in arrays}
    assert sorted(kernels.values()) == [(1, 3, 3, 6), (6, CLASSES)]
    assert shapes["params"]["classifier"] == {"kernel": (6, CLASSES), "bias": (CLASSES,)}
    assert sorted(shapes["batch_stats"]) == sorted(shapes["params"].keys() - kernels.keys())
    for module, statistics in shapes["batch_stats"].items():
        assert statistics == {"mean": (6,), "var": (6,)}
        assert shapes["params"][module] == {"scale": (6,), "bias": (6,)}


@over_genotypes
def test_the_shapes_are_those_that_flax_itself_makes(genotype, shape):
    network = phenotype_of(genotype, shape)
    image = jax.ShapeDtypeStruct((1, *shape), np.float32)
    made = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), image)
    expected = {"params": dict(made["params"]), "batch_stats": dict(made.get("batch_stats", {}))}
    chex.assert_trees_all_equal_shapes_and_dtypes(variable_shapes(network), expected)
    assert jax.tree.structure(variable_shapes(network)) == jax.tree.structure(expected)


def test_convolutions_have_no_bias():
    shapes = variable_shapes(phenotype_of(EXAMPLES["three convolutions"], EVEN))
    assert all(arrays.keys() == {"kernel"} for module, arrays in shapes["params"].items() if module != "classifier")


@pytest.mark.parametrize("shape", [EVEN, ODD, (1, 5, 1)], ids=str)
@pytest.mark.parametrize("budget", [100_000, None], ids=["in budget", "without budget"])
def test_what_long_mutation_chains_make_can_be_built(shape, budget):
    for seed in range(4):
        genotype = random_genotype(100 + seed, 60, shape, budget)
        network = phenotype_of(genotype, shape)
        shapes = variable_shapes(network)
        assert number_of_parameters(shapes) == cost(network.architecture, CLASSES, batch_size=1).parameters
        logits = jax.eval_shape(
            lambda variables, images, network=network: network.apply(variables, images, train=False),
            shapes,
            jax.ShapeDtypeStruct((2, *shape), np.float32),
        )
        assert (logits.shape, logits.dtype) == ((2, CLASSES), np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from([EVEN, ODD, (1, 5, 1)]))
def test_whatever_mutations_make_can_be_trained_and_asked_as_a_lane_does(seed, mutations, shape):
    network = phenotype_of(random_genotype(seed, mutations, shape), shape)
    long = Settings(train_steps=10**6)
    trained = network.clone(convolve=convolve_on("cpu", long), batch_norm=BatchNorm)
    carry = carry_shapes(variable_shapes(network), long)
    images, labels = jax.ShapeDtypeStruct((2, *shape), np.float32), jax.ShapeDtypeStruct((2,), np.int32)
    rate = jax.ShapeDtypeStruct((), np.float32)
    after = jax.eval_shape(make_train_step(trained, long), carry, (images, labels), rate)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, carry)
    found = jax.eval_shape(make_evaluate(network), carry.variables, images, labels, jax.ShapeDtypeStruct((), np.int32))
    assert found.predictions.shape == (2,)


@pytest.mark.parametrize(
    "wanted",
    [(8, 7, 3), (4, 4, 3), (5, 3, 2), (3, 2, 6), (1, 1, 1), (7, 6, 3), (6, 5, 4)],
    ids=str,
)
def test_a_skip_takes_the_nearest_pixels_and_cuts_or_fills_channels(wanted):
    point = images_of((8, 7, 3))
    found = fit(point, (len(point), *wanted))
    np.testing.assert_array_equal(found, fitted(point, (len(point), *wanted)))


@pytest.mark.parametrize("sizes", [(8, 4), (9, 5), (9, 3), (7, 2), (7, 6), (5, 1)], ids=str)
def test_nearest_is_what_jax_means_by_it(sizes):
    before, after = sizes
    point = images_of((before, before, 1))
    shape = (len(point), after, after, 1)
    np.testing.assert_array_equal(fit(point, shape), jax.image.resize(point, shape, "nearest"))
