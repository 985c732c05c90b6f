"""Inheritance by overlap and by morphing: which parts stay, and which children compute what their parents do.

Logits come from the plain NumPy network in float64, so that only the arrays decide; one test asks the real one.
"""

import dataclasses
import json
from fractions import Fraction

import jax
import numpy as np
import pytest
from helpers.births import task_of
from helpers.genotypes import (
    BN_RELU,
    INITIAL,
    LINEAR,
    ONE_CONVOLUTION,
    ONLY_IDENTITIES,
    RICH,
    convolution,
    inserted,
    one_to_one,
    random_genotype,
    replaced,
    with_skips,
)
from helpers.max_pool import MaxPool
from helpers.numpy_network import convolve, forward, random_variables
from helpers.separable import Separable
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype, Layer
from jaxevo.spaces.large_scale.growth import inserting_convolutions
from jaxevo.spaces.large_scale.inheritance import first_variables
from jaxevo.spaces.large_scale.layer_types import Convolution
from jaxevo.spaces.large_scale.morphing import normalising_to, overlapped, passing_on, rectified_moments
from jaxevo.spaces.large_scale.mutation import MUTATIONS
from jaxevo.spaces.large_scale.mutation_sets import growth
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

SHAPE, CLASSES = (6, 5, 2), 3
TASK = task_of(SHAPE, CLASSES)
# Not of mean 0: then batch normalisation would hide a wrong mean.
IMAGES = (np.random.default_rng(9).standard_normal((5, *SHAPE)) + 0.3).astype(np.float32)
CHANGED = pytest.mark.parametrize("inheritance", ["overlap", "morph"])

PARENT = Genotype(
    0.1,
    (
        convolution(1, 2, activation=BN_RELU),
        one_to_one(2, BN_RELU),
        convolution(3, Fraction(5, 4), (0, 1)),
        convolution(4, 2, (1, 1), 1, BN_RELU),
    ),
)
"""image (2) -> 1: conv, BN (4) -> 2: identity, BN -> 3: conv 1 x 3 (5) -> 4: conv / 2, BN (10) -> pool"""


def shapes_of(genotype, shape=SHAPE):
    return variable_shapes(Phenotype(architecture(genotype, shape), CLASSES))


def trained(genotype):
    return random_variables(shapes_of(genotype), 1)


def first(genotype, parent=None, inheritance="morph", individual_id=7, seed=0):
    """Returns an individual's first variables; `parent` is (genotype, variables)."""
    return first_variables(seed, individual_id, genotype, shapes_of(genotype), parent, inheritance)


def kept(child, parent, changes=None):
    """Returns the child with the channels of its parent's convolutions, but for those by id in `changes`."""
    wanted = dict(zip(parent.points, parent.channels(SHAPE[2]), strict=True)) | (changes or {})
    channels = SHAPE[2]
    for layer in child.layers:
        operation = layer.operation
        if isinstance(operation, Convolution):
            width = wanted.get(layer.id, operation.channels(channels))
            child = replaced(child, layer.id, channel_factor=Fraction(width, channels))
            channels = width
        else:
            channels = operation.channels(channels)
    return child


def assert_same_logits(parent, child, train):
    """Fails unless a child by morphing has its parent's logits."""
    variables = trained(parent)
    expected = forward(parent, variables, IMAGES, train).logits
    found = forward(child, first(child, (parent, variables)), IMAGES, train).logits
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 0.1


# Exact: wider layers and larger filters.

EXACT = {
    "the first layer wider": kept(PARENT, PARENT, {1: 7}),
    "a linear layer wider": kept(PARENT, PARENT, {3: 9}),
    "the last layer wider, before the classifier": kept(PARENT, PARENT, {4: 16}),
    "all layers wider": kept(PARENT, PARENT, {1: 5, 3: 8, 4: 11}),
    "wider with relative channels, as in the paper": replaced(PARENT, 1, channel_factor=Fraction(3)),
    "a 5 x 3 filter": replaced(PARENT, 1, half_height=2),
    "a 3 x 3 filter instead of 1 x 3": replaced(PARENT, 3, half_height=1),
    "a filter larger than the image": replaced(PARENT, 3, half_height=6, half_width=4),
    "a larger filter that strides": replaced(PARENT, 4, half_height=2, half_width=3),
    "wider with a larger filter": replaced(kept(PARENT, PARENT, {1: 6}), 1, half_width=2),
}


@pytest.mark.parametrize("train", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("child", EXACT.values(), ids=EXACT.keys())
def test_a_wider_layer_and_a_larger_filter_compute_what_the_parent_does(child, train):
    assert child != PARENT
    assert_same_logits(PARENT, child, train)


@pytest.mark.parametrize("child", EXACT.values(), ids=EXACT.keys())
def test_by_overlap_they_do_not(child):
    variables = trained(PARENT)
    found = forward(child, first(child, (PARENT, variables), "overlap"), IMAGES).logits
    assert np.abs(found - forward(PARENT, variables, IMAGES).logits).max() > 0.01


def test_new_channels_can_learn():
    """They are not all zero: else no gradient would reach them."""
    child = EXACT["the first layer wider"]
    found = forward(child, first(child, (PARENT, trained(PARENT))), IMAGES)
    assert (found.points[1][..., 4:].std(axis=(0, 1, 2)) > 0.01).all()


def test_the_real_network_agrees_with_other_layer_types_between():
    layers = (
        convolution(1, 2, activation=BN_RELU),
        Layer(2, MaxPool(2), LINEAR),
        Layer(3, Separable(1, 0), BN_RELU),
        convolution(4, 1, activation=BN_RELU),
    )
    parent = Genotype(0.1, layers)
    child = inserted(replaced(parent, 1, channel_factor=Fraction(3)), 4, convolution(5, activation=BN_RELU))
    variables = trained(parent)
    expected = Phenotype(architecture(parent, SHAPE), CLASSES).apply(variables, IMAGES, train=False)
    begun = first(child, (parent, variables))
    found = Phenotype(architecture(child, SHAPE), CLASSES).apply(begun, IMAGES, train=False)
    assert child.channels(2)[1:] == (6, 6, 12, 12, 12)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


# Near: inserted convolutions.


def chain_of_insertions(parent, places, width=None):
    """Returns the parent with convolutions inserted one after the other, which all have batch-norm + ReLU."""
    child = parent
    for place in places:
        before = child.channels(SHAPE[2])[place]
        layer = convolution(child.fresh_id, Fraction(width or before, before), activation=BN_RELU)
        child = kept(inserted(child, place, layer), child)
    return child


NEAR = {
    "behind the first layer": chain_of_insertions(PARENT, [1]),
    "behind an identity with batch-norm": chain_of_insertions(PARENT, [2]),
    "before the classifier": chain_of_insertions(PARENT, [4]),
    "with more channels than its input": chain_of_insertions(PARENT, [1], 9),
    "with more channels, before the classifier": chain_of_insertions(PARENT, [4], 16),
    "three, one behind the other": chain_of_insertions(PARENT, [1, 2, 3]),
    "three with more channels": chain_of_insertions(PARENT, [1, 2, 3], 9),
    "at several places": chain_of_insertions(PARENT, [4, 2, 1]),
    "before the layer inserted first": chain_of_insertions(PARENT, [1, 1]),
    "a 1 x 5 filter": inserted(PARENT, 1, convolution(5, 1, (0, 2), activation=BN_RELU)),
    "and the layer before it wider": kept(chain_of_insertions(PARENT, [1]), PARENT, {1: 7}),
    "and itself wider": replaced(chain_of_insertions(PARENT, [4]), 5, channel_factor=Fraction(3, 2)),
}


@pytest.mark.parametrize("child", NEAR.values(), ids=NEAR.keys())
def test_an_inserted_convolution_changes_nothing_in_evaluation(child):
    assert len(child.layers) > len(PARENT.layers)
    assert_same_logits(PARENT, child, train=False)


@pytest.mark.parametrize("child", NEAR.values(), ids=NEAR.keys())
def test_in_training_it_stays_finite_and_takes_part(child):
    variables = trained(PARENT)
    found = forward(child, first(child, (PARENT, variables)), IMAGES, train=True).logits
    assert np.isfinite(found).all()


def test_a_chain_of_children_each_with_an_insertion_computes_what_the_first_did():
    genotype, variables = PARENT, trained(PARENT)
    expected = forward(PARENT, variables, IMAGES).logits
    for place in (1, 2, 6, 2):
        child = chain_of_insertions(genotype, [place])
        genotype, variables = child, first(child, (genotype, variables))
    np.testing.assert_allclose(forward(genotype, variables, IMAGES).logits, expected, rtol=1e-4, atol=1e-4)


def test_batch_statistics_of_normal_inputs_are_expected():
    """In training, an insertion behind normal activations changes little, since its moments are those of its input."""
    parent = Genotype(0.1, (convolution(1, 2, (0, 0), activation=BN_RELU),))
    variables, child = trained(parent), chain_of_insertions(parent, [1])
    images = np.random.default_rng(0).standard_normal((200, *SHAPE)).astype(np.float32)
    expected = forward(parent, variables, images, train=True)
    found = forward(child, first(child, (parent, variables)), images, train=True)
    np.testing.assert_allclose(found.points[2], expected.points[1], atol=0.1)


# Not preserved: the overlapping part stays all the same.


@CHANGED
def test_a_narrower_layer_keeps_its_first_channels(inheritance):
    child, variables = kept(PARENT, PARENT, {1: 3}), trained(PARENT)
    found, theirs = first(child, (PARENT, variables), inheritance), variables["params"]
    params = found["params"]
    np.testing.assert_array_equal(params["convolution_1"]["kernel"], theirs["convolution_1"]["kernel"][..., :3])
    np.testing.assert_array_equal(params["convolution_3"]["kernel"], theirs["convolution_3"]["kernel"][:, :, :3])
    for collection, name in [("params", "scale"), ("params", "bias"), ("batch_stats", "mean"), ("batch_stats", "var")]:
        for module in ("batch_norm_1", "batch_norm_2"):
            np.testing.assert_array_equal(found[collection][module][name], variables[collection][module][name][:3])


@CHANGED
def test_a_smaller_filter_is_the_middle_of_the_larger(inheritance):
    child, variables = replaced(PARENT, 1, half_height=0), trained(PARENT)
    kernel = first(child, (PARENT, variables), inheritance)["params"]["convolution_1"]["kernel"]
    np.testing.assert_array_equal(kernel, variables["params"]["convolution_1"]["kernel"][1:2])


@CHANGED
def test_behind_a_removed_layer_the_overlapping_inputs_stay(inheritance):
    child = Genotype(0.1, (PARENT.layers[0], PARENT.layers[1], PARENT.layers[3]))
    child, variables = kept(child, PARENT), trained(PARENT)
    kernel = first(child, (PARENT, variables), inheritance)["params"]["convolution_3"]["kernel"]
    assert kernel.shape == (3, 3, 4, 10)
    np.testing.assert_array_equal(kernel, variables["params"]["convolution_4"]["kernel"][:, :, :4])


@CHANGED
def test_the_classifier_behind_a_removed_last_layer_keeps_the_overlapping_inputs(inheritance):
    child, variables = Genotype(0.1, PARENT.layers[:3]), trained(PARENT)
    classifier = first(child, (PARENT, variables), inheritance)["params"]["classifier"]
    np.testing.assert_array_equal(classifier["kernel"], variables["params"]["classifier"]["kernel"][:5])
    np.testing.assert_array_equal(classifier["bias"], variables["params"]["classifier"]["bias"])


@CHANGED
@pytest.mark.parametrize(
    "child",
    [replaced(PARENT, 1, log2_stride=1), with_skips(PARENT, [(1, 3), (0, 4)]), dataclasses.replace(PARENT)],
    ids=["stride", "skips", "equal"],
)
def test_where_no_shape_changes_everything_is_inherited(child, inheritance):
    variables = trained(PARENT)
    jax.tree.map(np.testing.assert_array_equal, first(child, (PARENT, variables), inheritance), variables)


def test_an_inserted_convolution_that_strides_passes_on_what_it_sees():
    child = kept(inserted(PARENT, 1, convolution(5, 2, log2_stride=1, activation=BN_RELU)), PARENT)
    kernel = first(child, (PARENT, trained(PARENT)))["params"]["convolution_2"]["kernel"]
    np.testing.assert_array_equal(kernel[..., :4], passing_on(np.ones((3, 3, 4, 4), np.float32)))
    assert (kernel[..., 4:] != 0).all()


# The first convolution.


@pytest.mark.parametrize("parent", [INITIAL, ONLY_IDENTITIES], ids=["initial", "identities"])
def test_by_morphing_the_first_convolution_begins_afresh(parent):
    child = inserted(parent, len(parent.layers), convolution(parent.fresh_id, 4, activation=BN_RELU))
    jax.tree.map(np.testing.assert_array_equal, first(child, (parent, trained(parent))), first(child))


def test_by_overlap_it_keeps_the_classifiers_part():
    child, variables = Genotype(0.1, (convolution(1, 2),)), trained(INITIAL)
    found = first(child, (INITIAL, variables), "overlap")["params"]
    np.testing.assert_array_equal(found["classifier"]["kernel"][:2], variables["params"]["classifier"]["kernel"])
    np.testing.assert_array_equal(found["classifier"]["kernel"][2:], first(child)["params"]["classifier"]["kernel"][2:])
    np.testing.assert_array_equal(found["convolution_1"]["kernel"], first(child)["params"]["convolution_1"]["kernel"])


def test_a_removed_last_convolution_keeps_the_classifiers_part():
    variables = trained(ONE_CONVOLUTION)
    found = first(INITIAL, (ONE_CONVOLUTION, variables))
    jax.tree.map(np.testing.assert_array_equal, found["params"]["classifier"], variables["params"]["classifier"])


# The parts of it.


def coordinates(name, shape):
    """Returns the place of every number of an array: filters count from their middle, channels from the first."""
    offsets = [
        (np.arange(size) - size // 2) if name == "kernel" and axis < len(shape) - 2 else np.arange(size)
        for axis, size in enumerate(shape)
    ]
    return [
        tuple(int(place) for place in places)
        for places in np.stack(np.meshgrid(*offsets, indexing="ij"), -1).reshape(-1, len(shape))
    ]


@pytest.mark.parametrize("preserving", [False, True])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("kernel", (3, 3, 2, 4), (5, 1, 3, 3)),
        ("kernel", (3, 3, 2, 4), (3, 3, 4, 6)),
        ("kernel", (5, 7, 3, 2), (3, 3, 2, 1)),
        ("kernel", (4, 3), (6, 3)),
        ("kernel", (4, 3), (2, 3)),
        ("scale", (4,), (7,)),
        ("mean", (4,), (3,)),
    ],
)
def test_the_overlapping_part_stays_about_the_middle_of_filters(name, old, new, preserving):
    generator = np.random.default_rng(0)
    inherited, fresh = (generator.standard_normal(shape).astype(np.float32) for shape in (old, new))
    before = inherited.copy(), fresh.copy()
    found = overlapped(inherited, fresh, name, preserving)
    theirs = dict(zip(coordinates(name, old), inherited.ravel(), strict=True))
    for place, number, drawn in zip(coordinates(name, new), found.ravel(), fresh.ravel(), strict=True):
        # New inputs and the rim must not contribute to old outputs.
        elsewhere = 0 if preserving and name == "kernel" and place[-1] < old[-1] else drawn
        assert number == theirs.get(place, elsewhere)
    assert found.dtype == np.float32
    assert found.shape == new
    np.testing.assert_array_equal(inherited, before[0])
    np.testing.assert_array_equal(fresh, before[1])


@pytest.mark.parametrize("shape", [(3, 3, 4, 4), (1, 1, 3, 5), (5, 3, 4, 6), (3, 1, 5, 2)])
def test_a_kernel_that_passes_on_has_its_inputs_as_first_outputs(shape):
    fresh = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    kernel = passing_on(fresh)
    point = np.random.default_rng(1).standard_normal((2, 6, 5, shape[2]))
    same = min(shape[2:])
    np.testing.assert_array_equal(convolve(point, kernel, 1)[..., :same], point[..., :same])
    np.testing.assert_array_equal(kernel[..., same:], fresh[..., same:])
    assert kernel.dtype == np.float32


def test_a_normalisation_of_given_moments_changes_nothing():
    mean, variance = np.array([0.5, 3.0], np.float32), np.array([2.0, 1e-6], np.float32)
    arrays = {name: np.full(3, 7.0, np.float32) for name in ("scale", "bias", "mean", "var")}
    found = normalising_to((mean, variance), arrays)
    point = np.random.default_rng(0).uniform(0, 9, (50, 2))
    normal = (point - found["mean"][:2]) / np.sqrt(found["var"][:2] + 1e-5)
    np.testing.assert_allclose(normal * found["scale"][:2] + found["bias"][:2], point, rtol=1e-5, atol=1e-5)
    assert all(array[2] == 7 and array.dtype == np.float32 for array in found.values())
    assert all((array == 7).all() for array in arrays.values())


@pytest.mark.parametrize(
    ("scale", "bias"), [(1.0, 0.0), (0.5, 2.0), (-1.5, -1.0), (2.0, -5.0), (0.0, 1.0), (0.0, -1.0)]
)
def test_moments_behind_a_relu_are_those_of_samples(scale, bias):
    samples = np.maximum(np.random.default_rng(0).standard_normal(400_000) * scale + bias, 0)
    mean, variance = rectified_moments(np.array([scale], np.float32), np.array([bias], np.float32))
    assert mean.dtype == variance.dtype == np.float32
    assert mean[0] == pytest.approx(samples.mean(), rel=0.02, abs=0.003)
    assert variance[0] == pytest.approx(samples.var(), rel=0.02, abs=0.003)
    assert variance[0] > 0


def test_extreme_scales_give_finite_moments():
    scale = np.array([1e-30, 1e10, 0.0, 1e-6], np.float32)
    for bias in (-1e10, -1.0, 0.0, 1.0, 1e10):
        mean, variance = rectified_moments(scale, np.full(4, bias, np.float32))
        assert np.isfinite(mean).all()
        assert np.isfinite(variance).all()


# Whatever the genotype.

over_genotypes = settings(derandomize=True, deadline=None, max_examples=40, database=None)
seeds, lengths = st.integers(0, 2**32 - 1), st.integers(0, 30)


def drawn(seed, length, skips=True):
    genotype = random_genotype(seed, length, SHAPE, 3_000)
    return genotype if skips else with_skips(genotype, [])


@over_genotypes
@given(seeds, lengths, st.sampled_from(["overlap", "morph"]), st.sampled_from(["paper", "growth"]))
def test_any_childs_arrays_are_of_the_network_finite_and_the_same_every_time(seed, length, inheritance, name):
    parent = drawn(seed, length)
    variables, before = trained(parent), json.dumps(parent.to_json())
    for mutation in MUTATIONS if name == "paper" else growth(0.1):
        child = mutation.apply(np.random.default_rng(seed), parent, TASK)
        if child is None or sum(child.channels(SHAPE[2])) > 300:
            continue
        found = first(child, (parent, variables), inheritance)
        assert jax.tree.map(lambda array: (array.shape, array.dtype), found) == jax.tree.map(
            lambda array: (array.shape, array.dtype), shapes_of(child)
        )
        assert all(np.isfinite(array).all() for array in jax.tree.leaves(found))
        jax.tree.map(np.testing.assert_array_equal, found, first(child, (parent, variables), inheritance))
    jax.tree.map(np.testing.assert_array_equal, variables, trained(parent))
    assert json.dumps(parent.to_json()) == before


@over_genotypes
@given(seeds, lengths, st.integers(1, 5), st.booleans())
def test_wider_layers_without_skips_are_exact_anywhere(seed, length, more, train):
    parent = drawn(seed, length, skips=False)
    convolutions = [layer.id for layer in parent.layers if isinstance(layer.operation, Convolution)]
    if convolutions:
        layer_id = convolutions[seed % len(convolutions)]
        place = parent.points.index(layer_id)
        width = parent.channels(SHAPE[2])[place] + more
        assert_close_logits(parent, kept(parent, parent, {layer_id: width}), train)


@over_genotypes
@given(seeds, lengths, st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_larger_filters_are_exact_anywhere_if_they_reached_their_stride(seed, length, higher, broader, train):
    parent = drawn(seed, length)
    reaching = [
        layer
        for layer in parent.layers
        if isinstance(layer.operation, Convolution)
        and min(layer.operation.filter_shape) >= layer.operation.at((*SHAPE[:2], 1)).stride
    ]
    if reaching:
        layer = reaching[seed % len(reaching)]
        half_height, half_width = layer.operation.half_height + higher, layer.operation.half_width + broader
        child = replaced(parent, layer.id, half_height=half_height, half_width=half_width)
        assert_close_logits(parent, child, train)


@over_genotypes
@given(seeds, lengths, st.integers(1, 3))
def test_insertions_by_growth_are_near_behind_any_rectified_layer(seed, length, insertions):
    parent = drawn(seed, length, skips=False)
    child, apply = parent, inserting_convolutions(0.1, 8, 12, 0.0)
    generator = np.random.default_rng(seed)
    for _ in range(insertions):
        grown = apply(generator, child, TASK)
        (place,) = (place for place, layer in enumerate(grown.layers) if layer.id not in child.points)
        if parent.convolutions and place and grown.layers[place - 1].activation is BN_RELU:
            child = grown
    assert_close_logits(parent, child, train=False)


def assert_close_logits(parent, child, train):
    variables = trained(parent)
    expected = forward(parent, variables, IMAGES, train).logits
    found = forward(child, first(child, (parent, variables)), IMAGES, train).logits
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max()))


@CHANGED
def test_arrays_depend_on_seed_and_individual(inheritance):
    child, parent = EXACT["the first layer wider"], (PARENT, trained(PARENT))
    new = [
        first(child, parent, inheritance, individual_id, seed)["params"]["convolution_1"]["kernel"][..., 4:]
        for seed, individual_id in [(0, 7), (0, 8), (1, 7)]
    ]
    assert not np.array_equal(new[0], new[1])
    assert not np.array_equal(new[0], new[2])


@pytest.mark.parametrize("child", [RICH, replaced(RICH, 3, half_height=2), with_skips(RICH, [])])
def test_by_shape_nothing_else_is_inherited(child):
    """The default, and the paper's."""
    variables, fresh = trained(RICH), first(child)
    found = first(child, (RICH, variables), "shape")
    jax.tree.map(
        np.testing.assert_array_equal,
        found,
        first_variables(0, 7, child, shapes_of(child), (RICH, variables)),
    )
    if child.layers[0] != RICH.layers[0]:
        kernel = found["params"]["convolution_1"]["kernel"]
        np.testing.assert_array_equal(kernel, fresh["params"]["convolution_1"]["kernel"])
