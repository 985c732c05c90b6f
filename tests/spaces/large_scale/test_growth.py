"""Mutations that favour growth: what an insertion draws, and that no mutation changes the width of another layer."""

import collections
import dataclasses
import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from helpers.births import task_of
from helpers.genotypes import BN_RELU, INITIAL, ONE_CONVOLUTION, ONLY_IDENTITIES, RICH, convolution, random_genotype
from helpers.max_pool import MaxPool
from helpers.separable import Separable

from jaxevo.search.evolution import mutants
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json
from jaxevo.spaces.large_scale.growth import altering_channels, inserting_convolutions, keeping_widths
from jaxevo.spaces.large_scale.layer_types import PAPER, Convolution
from jaxevo.spaces.large_scale.mutation import MUTATIONS
from jaxevo.spaces.large_scale.mutation_sets import growth

TASK = task_of((28, 28, 1))
SEEDS = range(600)
PAPERS = {one.name: one.apply for one in MUTATIONS}
LAYER_TYPES = (*PAPER, Separable, MaxPool)
WIDE = Genotype(0.7, (convolution(1, 16, activation=BN_RELU), convolution(2, Fraction(3, 2), activation=BN_RELU)))
"""image (1) -> 1: conv (16) -> 2: conv (24) -> pool"""


def insert(genotype, seed, least=8, most=32, stride_probability=0.0, task=TASK):
    """Returns the child, the layer that was inserted and its place."""
    apply = inserting_convolutions(0.1, least, most, stride_probability)
    child = apply(np.random.default_rng(seed), genotype, task)
    (place,) = (place for place, layer in enumerate(child.layers) if layer.id not in genotype.points)
    return child, child.layers[place], place


def widths(genotype, task=TASK):
    """Returns the channels of every layer by its id."""
    return dict(zip(genotype.points, genotype.channels(task.image_shape[2]), strict=True))


def test_a_drawn_width_stays_between_the_least_and_the_greatest_even_if_these_are_no_multiples_of_8():
    drawn = {widths(child)[layer.id] for child, layer, _ in (insert(INITIAL, seed, 17, 38) for seed in range(100))}
    assert drawn == {17, 24, 32, 38}


def convolution_widths(genotype, task=TASK):
    found = widths(genotype, task)
    return {layer.id: found[layer.id] for layer in genotype.layers if isinstance(layer.operation, Convolution)}


def grown(seed, length, task=TASK, layer_types=LAYER_TYPES, max_parameters=100_000):
    """Returns the genotypes of a chain of growth mutations, within a budget."""
    generator, genotype, chain = np.random.default_rng(seed), INITIAL, [INITIAL]
    mutations = growth(0.1, layer_types)
    for _ in range(length):
        children = (child for _, child in mutants(generator, genotype, mutations, task))
        genotype = next(child for child in children if parameters(child, task) <= max_parameters)
        chain.append(genotype)
    return chain


def parameters(genotype, task):
    return cost(architecture(genotype, task.image_shape), task.num_classes, 1).parameters


def assert_drawn(counts, odds):
    """Fails if counts differ from their odds by more than one in a thousand fair draws do."""
    assert counts.keys() <= odds.keys()
    total = sum(counts.values())
    chi_square = sum((counts[value] - total * share) ** 2 / (total * share) for value, share in odds.items())
    freedom = len(odds) - 1
    # Wilson and Hilferty's approximation of the chi-square quantile at 0.999.
    assert chi_square < freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3


# Insertion.


def test_an_insertion_adds_one_convolution_and_keeps_the_widths_of_all_others():
    for seed in range(60):
        parent = random_genotype(seed, 25, TASK.image_shape, 20_000)
        child, layer, place = insert(parent, seed, stride_probability=0.5)
        assert len(child.layers) == len(parent.layers) + 1
        assert tuple(other.id for other in child.layers if other is not layer) == parent.points[1:]
        assert convolution_widths(child) == convolution_widths(parent) | {layer.id: widths(child)[layer.id]}
        assert child.skips == parent.skips
        assert (layer.operation.half_height, layer.operation.half_width) == (1, 1)
        assert layer.activation is BN_RELU
        assert place > 0 or not parent.layers


def test_an_insertion_goes_anywhere_but_before_the_first_layer():
    counts = collections.Counter(insert(RICH, seed)[2] for seed in SEEDS)
    assert_drawn(counts, dict.fromkeys(range(1, 6), 1 / 5))
    assert insert(INITIAL, 0)[2] == 0


@pytest.mark.parametrize("before", [1, 3, 7])
def test_behind_few_channels_the_width_is_drawn_log_uniformly_and_nothing_strides(before):
    parent = Genotype(0.1, (convolution(1, before, activation=BN_RELU),))
    layers = [insert(parent, seed, stride_probability=1.0)[:2] for seed in SEEDS]
    assert all(layer.operation.log2_stride == 0 for _, layer in layers)
    counts = collections.Counter(widths(child)[layer.id] for child, layer in layers)
    # A width stands for all that round to it.
    edges = [8, 12, 20, 28, 32]
    values = [8, 16, 24, 32]
    odds = {
        value: math.log(most / least) / math.log(32 / 8)
        for value, least, most in zip(values, edges[:-1], edges[1:], strict=True)
    }
    assert_drawn(counts, odds)


def test_the_first_convolution_of_all_is_wide_too():
    drawn = {widths(insert(INITIAL, seed)[0])[1] for seed in SEEDS}
    assert drawn == {8, 16, 24, 32}


def test_least_and_most_width_are_parameters():
    drawn = {widths(insert(INITIAL, seed, 2, 5)[0])[1] for seed in SEEDS}
    assert drawn == {2, 3, 4, 5}
    assert {widths(insert(INITIAL, seed, 40, 40)[0])[1] for seed in SEEDS} == {40}


def test_behind_enough_channels_an_insertion_has_as_many():
    for seed in range(50):
        child, layer, place = insert(WIDE, seed)
        assert widths(child)[layer.id] == WIDE.channels(1)[place]
        assert layer.operation.log2_stride == 0


def test_an_insertion_that_strides_doubles_the_channels():
    for seed in range(50):
        child, layer, place = insert(WIDE, seed, stride_probability=1.0)
        assert widths(child)[layer.id] == 2 * WIDE.channels(1)[place]
        assert layer.operation.log2_stride == 1


def test_doubled_channels_are_multiples_of_8_too():
    for width in range(8, 40):
        parent = Genotype(0.1, (convolution(1, width, activation=BN_RELU),))
        child, layer, _ = insert(parent, 0, stride_probability=1.0)
        doubled = widths(child)[layer.id]
        assert doubled % 8 == 0
        assert abs(doubled - 2 * width) <= 4


@pytest.mark.parametrize("stride_probability", [0.0, 0.25, 1.0])
def test_insertions_stride_with_their_probability(stride_probability):
    strided = sum(
        insert(WIDE, seed, stride_probability=stride_probability)[1].operation.log2_stride == 1 for seed in SEEDS
    )
    spread = math.sqrt(len(SEEDS) * stride_probability * (1 - stride_probability))
    assert abs(strided - len(SEEDS) * stride_probability) <= 3.3 * spread


@pytest.mark.parametrize(("image_shape", "strides"), [((8, 8, 1), 1), ((7, 28, 1), 0), ((28, 7, 1), 0)])
def test_small_activations_are_not_strided_over(image_shape, strides):
    found = {insert(WIDE, seed, 8, 32, 1.0, task_of(image_shape))[1].operation.log2_stride for seed in range(50)}
    assert found == {strides}


@pytest.mark.parametrize("parent", [INITIAL, ONLY_IDENTITIES])
def test_the_first_convolution_resets_the_learning_rate(parent):
    evolved = dataclasses.replace(parent, learning_rate=3.0)
    assert insert(evolved, 0)[0].learning_rate == 0.1


def test_further_convolutions_keep_the_learning_rate():
    assert insert(WIDE, 0)[0].learning_rate == WIDE.learning_rate


# Channels.


def test_altering_channels_changes_one_convolution():
    altered = collections.Counter()
    for seed in SEEDS:
        child = altering_channels(4.0)(np.random.default_rng(seed), RICH, TASK)
        if child is not None:
            before, after = convolution_widths(RICH), convolution_widths(child)
            (changed,) = (layer for layer in before if before[layer] != after[layer])
            altered[changed] += 1
            assert child.learning_rate == RICH.learning_rate
            assert child.skips == RICH.skips
    assert altered.keys() == {3, 5, 7}


@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0])
def test_altered_channels_lie_between_half_and_the_factor_in_multiples_of_8(factor):
    parent = Genotype(0.1, (convolution(1, 24, activation=BN_RELU),))
    drawn = set()
    for seed in SEEDS:
        child = altering_channels(factor)(np.random.default_rng(seed), parent, TASK)
        drawn |= set() if child is None else {widths(child)[1]}
    assert drawn == {*range(16, round(24 * factor) + 1, 8)} - {24}


def test_altered_channels_are_log_uniform():
    parent, counts = Genotype(0.1, (convolution(1, 64, activation=BN_RELU),)), collections.Counter()
    for seed in SEEDS:
        child = altering_channels(4.0)(np.random.default_rng(seed), parent, TASK)
        counts["none" if child is None else "half" if widths(child)[1] < 64 else "more"] += 1
    # 60 to 68 round to 64, of three doublings from 32 to 256.
    odds = {
        "half": math.log2(60 / 32) / 3,
        "none": math.log2(68 / 60) / 3,
        "more": math.log2(256 / 68) / 3,
    }
    assert_drawn(counts, odds)


def test_a_single_channel_can_be_widened_and_never_vanishes():
    drawn = set()
    for seed in range(100):
        child = altering_channels(4.0)(np.random.default_rng(seed), ONE_CONVOLUTION, TASK)
        drawn |= set() if child is None else {widths(child)[1]}
    assert drawn == {2, 3, 4}


def test_without_convolutions_there_are_no_channels_to_alter():
    assert altering_channels(4.0)(np.random.default_rng(0), ONLY_IDENTITIES, TASK) is None


# Whatever the mutation.


@pytest.mark.parametrize("name", sorted(PAPERS.keys() - {"ALTER-NUMBER-OF-CHANNELS"}))
def test_layers_that_stay_keep_their_channels(name):
    for seed in range(40):
        parent = random_genotype(seed, 25, TASK.image_shape, 20_000)
        child = keeping_widths(PAPERS[name])(np.random.default_rng(seed), parent, TASK)
        plain = PAPERS[name](np.random.default_rng(seed), parent, TASK)
        assert (child is None) == (plain is None)
        if child is not None:
            before, after = convolution_widths(parent), convolution_widths(child)
            assert {layer: after[layer] for layer in before if layer in after} == {
                layer: before[layer] for layer in before if layer in after
            }
            assert child.points == plain.points
            assert (child.skips, child.learning_rate) == (plain.skips, plain.learning_rate)


def test_without_it_they_would_not():
    for seed in range(20):
        child = PAPERS["REMOVE-CONVOLUTION"](np.random.default_rng(seed), WIDE, TASK)
        kept = keeping_widths(PAPERS["REMOVE-CONVOLUTION"])(np.random.default_rng(seed), WIDE, TASK)
        if child.points == (0, 2):
            break
    assert (widths(child)[2], widths(kept)[2]) == (2, 24)


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 32, 3), (5, 9, 2), (1, 1, 1)])
def test_every_child_of_a_chain_is_valid_with_other_layer_types_too(image_shape):
    task, seen = task_of(image_shape), set()
    for seed in range(4):
        for genotype in grown(seed, 60, task):
            assert genotype_from_json(json.loads(json.dumps(genotype.to_json())), LAYER_TYPES) == genotype
            assert min(min(shape) for shape in architecture(genotype, image_shape).shapes) >= 1
            seen |= {type(layer.operation) for layer in genotype.layers}
    assert seen == set(LAYER_TYPES)


def test_one_mutation_changes_the_width_of_one_convolution_at_most():
    for seed in range(4):
        chain = grown(seed, 60)
        for parent, child in itertools.pairwise(chain):
            before, after = convolution_widths(parent), convolution_widths(child)
            both = before.keys() & after.keys()
            assert sum(before[layer] != after[layer] for layer in both) <= 1
            assert len(before.keys() ^ after.keys()) <= 1


def test_every_mutation_of_the_set_gives_the_same_child_again_and_leaves_its_input():
    for seed in range(4):
        parent = grown(seed, 30)[-1]
        before = json.dumps(parent.to_json())
        for mutation in growth(0.1, LAYER_TYPES):
            one, other = (mutation.apply(np.random.default_rng(seed), parent, TASK) for _ in range(2))
            assert one == other
        assert json.dumps(parent.to_json()) == before
