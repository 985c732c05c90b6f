"""The eleven mutations: one contract for all; of each, every outcome that the paper allows and no other."""

import collections
import dataclasses
import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from helpers.births import task_of
from helpers.genotypes import (
    BN_RELU,
    EXAMPLES,
    INITIAL,
    LINEAR,
    ONE_CONVOLUTION,
    ONLY_IDENTITIES,
    RICH,
    THREE_CONVOLUTIONS,
    convolution,
    one_to_one,
    with_skips,
)

from jaxevo.search.evolution import mutants
from jaxevo.spaces.large_scale import mutation
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json
from jaxevo.spaces.large_scale.layer_types import Convolution, Identity

MUTATIONS = {one.name: one.apply for one in mutation.MUTATIONS}
IMAGE_SHAPE = (8, 8, 3)
SEEDS = range(600)
CHANGING_NOTHING = {"IDENTITY", "RESET-WEIGHTS"}
OF_A_CONVOLUTION = {"REMOVE-CONVOLUTION", "ALTER-STRIDE", "ALTER-NUMBER-OF-CHANNELS", "FILTER-SIZE"}

every_mutation = pytest.mark.parametrize("name", MUTATIONS)
examples = pytest.mark.parametrize("genotype", EXAMPLES.values(), ids=EXAMPLES.keys())


def child_of(genotype, name, seed, image_shape=IMAGE_SHAPE):
    return MUTATIONS[name](np.random.default_rng(seed), genotype, task_of(image_shape))


def children_of(genotype, name, image_shape=IMAGE_SHAPE):
    """Returns the children that some hundreds of seeds give, counted."""
    return collections.Counter(child_of(genotype, name, seed, image_shape) for seed in SEEDS)


def changed_convolution(genotype, index, **changes):
    """Returns the genotype with some fields of one convolution changed."""
    layers = list(genotype.layers)
    operation = dataclasses.replace(layers[index].operation, **changes)
    layers[index] = dataclasses.replace(layers[index], operation=operation)
    return dataclasses.replace(genotype, layers=tuple(layers))


def assert_uniform(counts, num_options):
    """Fails if the counts differ from a uniform draw by more than one in a thousand fair ones do."""
    assert len(counts) == num_options
    expected = sum(counts.values()) / num_options
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    # Wilson and Hilferty's approximation of the chi-square quantile at 0.999.
    freedom = num_options - 1
    bound = freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
    assert chi_square < bound


# The contract.


def test_the_table_has_the_papers_eleven_names():
    assert set(MUTATIONS) == {
        "ALTER-LEARNING-RATE",
        "IDENTITY",
        "RESET-WEIGHTS",
        "INSERT-CONVOLUTION",
        "REMOVE-CONVOLUTION",
        "ALTER-STRIDE",
        "ALTER-NUMBER-OF-CHANNELS",
        "FILTER-SIZE",
        "INSERT-ONE-TO-ONE",
        "ADD-SKIP",
        "REMOVE-SKIP",
    }


@every_mutation
@examples
def test_a_mutation_leaves_its_input_as_it_was(genotype, name):
    before = json.dumps(genotype.to_json())
    for seed in range(20):
        child_of(genotype, name, seed)
    assert json.dumps(genotype.to_json()) == before


@every_mutation
@examples
def test_a_child_is_valid(genotype, name):
    for seed in range(50):
        child = child_of(genotype, name, seed)
        assert child is None or genotype_from_json(json.loads(json.dumps(child.to_json()))) == child


@every_mutation
@examples
def test_equal_keys_give_equal_children(genotype, name):
    for seed in range(20):
        assert child_of(genotype, name, seed) == child_of(genotype, name, seed)


@every_mutation
def test_different_keys_give_different_children_unless_nothing_changes(name):
    different = len(children_of(RICH, name))
    assert different == 1 if name in CHANGING_NOTHING else different > 1


@every_mutation
def test_a_child_differs_from_its_parent_unless_nothing_changes(name):
    assert (RICH in children_of(RICH, name)) == (name in CHANGING_NOTHING)


@every_mutation
def test_only_one_mutation_touches_the_learning_rate(name):
    unchanged = all(child.learning_rate == RICH.learning_rate for child in children_of(RICH, name))
    assert unchanged == (name != "ALTER-LEARNING-RATE")


@every_mutation
@pytest.mark.parametrize(
    ("genotype", "inapplicable"),
    [
        (INITIAL, OF_A_CONVOLUTION | {"ADD-SKIP", "REMOVE-SKIP"}),
        (ONE_CONVOLUTION, {"ADD-SKIP", "REMOVE-SKIP"}),
        (ONLY_IDENTITIES, OF_A_CONVOLUTION | {"REMOVE-SKIP"}),
        (THREE_CONVOLUTIONS, {"REMOVE-SKIP"}),
        (with_skips(THREE_CONVOLUTIONS, [(0, 2), (0, 3), (1, 3)]), {"ADD-SKIP"}),
        (RICH, set()),
    ],
    ids=["initial", "one convolution", "only identities", "no skip", "every skip", "rich"],
)
def test_a_mutation_gives_none_exactly_where_it_cannot_apply(genotype, inapplicable, name):
    given_none = {child_of(genotype, name, seed) is None for seed in range(50)}
    assert given_none == {name in inapplicable}


# The learning rate.


def test_the_learning_rate_moves_by_two_to_a_uniform_number_from_minus_1_to_1():
    exponents = sorted(
        math.log2(child_of(RICH, "ALTER-LEARNING-RATE", seed).learning_rate / RICH.learning_rate)
        for seed in range(2000)
    )
    assert exponents[0] >= -1 and exponents[-1] <= 1
    # Kolmogorov and Smirnov's distance to the uniform distribution; 0.0436 is passed by 1 in 1000.
    distance = max(abs((exponent + 1) / 2 - place / 2000) for place, exponent in enumerate(exponents))
    assert distance < 0.0436


def test_altering_the_learning_rate_changes_nothing_else():
    for child in children_of(RICH, "ALTER-LEARNING-RATE"):
        assert dataclasses.replace(child, learning_rate=RICH.learning_rate) == RICH


@pytest.mark.parametrize("learning_rate", [1.7e308, 5e-324])
def test_a_learning_rate_at_the_end_of_the_floats_gives_no_invalid_child(learning_rate):
    for seed in range(50):
        child = child_of(Genotype(learning_rate), "ALTER-LEARNING-RATE", seed)
        assert child is None or 0 < child.learning_rate < math.inf


# Insertions.


def inserted(genotype, place, layer):
    layers = (*genotype.layers[:place], layer, *genotype.layers[place:])
    return dataclasses.replace(genotype, layers=layers)


@examples
def test_a_convolution_is_inserted_at_every_place_with_stride_1_or_2_and_batch_norm_or_nothing(genotype):
    wanted = {
        inserted(genotype, place, convolution(genotype.fresh_id, 1, (1, 1), log2_stride, activation))
        for place in range(len(genotype.layers) + 1)
        for log2_stride in (0, 1)
        for activation in (LINEAR, BN_RELU)
    }
    assert set(children_of(genotype, "INSERT-CONVOLUTION")) == wanted


@examples
def test_an_identity_is_inserted_at_every_place_with_batch_norm_or_nothing(genotype):
    wanted = {
        inserted(genotype, place, one_to_one(genotype.fresh_id, activation))
        for place in range(len(genotype.layers) + 1)
        for activation in (LINEAR, BN_RELU)
    }
    assert set(children_of(genotype, "INSERT-ONE-TO-ONE")) == wanted


def test_an_inserted_convolution_has_as_many_channels_as_its_input():
    for child in children_of(RICH, "INSERT-CONVOLUTION"):
        channels = child.channels(3)
        place = child.points.index(RICH.fresh_id)
        assert channels[place] == channels[place - 1]
        assert channels[:place] + channels[place + 1 :] == RICH.channels(3)


@pytest.mark.parametrize(("name", "options"), [("INSERT-CONVOLUTION", 24), ("INSERT-ONE-TO-ONE", 12)])
def test_insertions_are_drawn_uniformly(name, options):
    assert_uniform(children_of(RICH, name), options)


# Convolutions removed.


def test_a_removed_convolution_is_any_of_them():
    children = children_of(THREE_CONVOLUTIONS, "REMOVE-CONVOLUTION")
    assert {child.points for child in children} == {(0, 2, 3), (0, 1, 3), (0, 1, 2)}
    assert_uniform(children, 3)


def test_an_identity_is_never_removed():
    children = children_of(RICH, "REMOVE-CONVOLUTION")
    assert {child.points for child in children} == {(0, 1, 7, 2, 5), (0, 3, 1, 2, 5), (0, 3, 1, 7, 2)}


def test_the_layers_that_stay_stay_as_they_were():
    for child in children_of(RICH, "REMOVE-CONVOLUTION"):
        removed = set(RICH.points) - set(child.points)
        assert child.layers == tuple(layer for layer in RICH.layers if layer.id not in removed)


def five_identities_around_a_convolution(*skips):
    """Image -> 1 -> 2 -> 3: conv -> 4 -> 5 -> pool; only layer 3 can be removed, 2 stands before it."""
    layers = (one_to_one(1), one_to_one(2), convolution(3), one_to_one(4), one_to_one(5))
    return Genotype(0.1, layers, skips)


@pytest.mark.parametrize(
    ("skips", "left"),
    [
        pytest.param([(0, 3)], [(0, 2)], id="a skip into it goes to the point before it"),
        pytest.param([(3, 5)], [(2, 5)], id="a skip out of it starts at the point before it"),
        pytest.param([(0, 3), (3, 5)], [(0, 2), (2, 5)], id="both"),
        pytest.param([(0, 2), (0, 5), (2, 5)], [(0, 2), (0, 5), (2, 5)], id="others stay"),
        pytest.param([(1, 3)], [], id="one that becomes adjacent is dropped"),
        pytest.param([(2, 4)], [], id="one over it that becomes adjacent is dropped"),
        pytest.param([(0, 3), (0, 2)], [(0, 2)], id="one into it that becomes double is dropped"),
        pytest.param([(3, 5), (2, 5)], [(2, 5)], id="one out of it that becomes double is dropped"),
        pytest.param(
            [(0, 2), (0, 3), (1, 3), (1, 4), (2, 4), (2, 5), (3, 5), (0, 5)],
            [(0, 2), (1, 4), (2, 5), (0, 5)],
            id="all at once",
        ),
    ],
)
def test_skips_follow_a_removed_convolution_to_the_point_before_it(skips, left):
    parent = five_identities_around_a_convolution(*skips)
    children = set(children_of(parent, "REMOVE-CONVOLUTION"))
    layers = tuple(layer for layer in parent.layers if layer.id != 3)
    assert children == {Genotype(0.1, layers, tuple(left))}


def test_skips_follow_a_first_convolution_to_the_image():
    parent = Genotype(0.1, (convolution(1), one_to_one(2), one_to_one(3), one_to_one(4)), ((1, 3), (1, 4)))
    child = child_of(parent, "REMOVE-CONVOLUTION", 0)
    assert child.points == (0, 2, 3, 4)
    assert child.skips == ((0, 3), (0, 4))


def test_the_skip_into_a_last_convolution_goes_to_the_layer_before_it():
    parent = Genotype(0.1, (one_to_one(1), one_to_one(2), convolution(3)), ((0, 3), (1, 3)))
    child = child_of(parent, "REMOVE-CONVOLUTION", 0)
    assert child == Genotype(0.1, (one_to_one(1), one_to_one(2)), ((0, 2),), removed_id=3)


def test_a_layer_that_comes_after_a_removal_has_an_id_that_no_layer_had():
    parent = Genotype(0.1, (one_to_one(1), convolution(2)))
    between = child_of(parent, "REMOVE-CONVOLUTION", 0)
    child = child_of(genotype_from_json(between.to_json()), "INSERT-CONVOLUTION", 0)
    assert {layer.id for layer in child.layers} == {1, 3}
    assert child.removed_id == 0
    assert "removed_id" in between.to_json()
    assert "removed_id" not in parent.to_json() | child.to_json()


# Numbers of a convolution.


@pytest.mark.parametrize(
    ("value", "allowed"),
    [(0, {1}), (1, {0, 2}), (2, {1, 3, 4}), (3, {1, 2, 4, 5, 6}), (5, {2, 3, 4, 6, 7, 8, 9, 10})],
)
def test_the_log2_stride_moves_within_half_to_double_and_leaves_zero(value, allowed):
    parent = Genotype(0.1, (convolution(1, log2_stride=value),))
    wanted = {changed_convolution(parent, 0, log2_stride=log2_stride) for log2_stride in allowed}
    children = children_of(parent, "ALTER-STRIDE")
    assert set(children) == wanted
    assert all(child.layers[0].operation.log2_stride >= 0 for child in children)


def test_the_stride_of_every_convolution_is_altered():
    wanted = {changed_convolution(RICH, index, log2_stride=1) for index in (0, 4)}
    wanted |= {changed_convolution(RICH, 2, log2_stride=log2_stride) for log2_stride in (0, 2)}
    assert set(children_of(RICH, "ALTER-STRIDE")) == wanted


@pytest.mark.parametrize(
    ("value", "allowed"),
    [(0, {1}), (1, {0, 2}), (2, {1, 3, 4}), (3, {1, 2, 4, 5, 6}), (6, {3, 4, 5, 7, 8, 9, 10, 11, 12})],
)
def test_a_half_size_moves_within_half_to_double_and_leaves_zero(value, allowed):
    parent = Genotype(0.1, (convolution(1, half=(value, value)),))
    wanted = {changed_convolution(parent, 0, half_height=half) for half in allowed}
    wanted |= {changed_convolution(parent, 0, half_width=half) for half in allowed}
    assert set(children_of(parent, "FILTER-SIZE")) == wanted


def test_filter_heights_and_widths_move_apart_in_every_convolution():
    wanted = {changed_convolution(RICH, 0, half_height=half) for half in (0, 2)}
    wanted |= {changed_convolution(RICH, 0, half_width=half) for half in (0, 2)}
    wanted |= {changed_convolution(RICH, 2, half_height=half) for half in (1, 3, 4)}
    wanted |= {changed_convolution(RICH, 2, half_width=1)}
    wanted |= {changed_convolution(RICH, 4, half_height=1)}
    wanted |= {changed_convolution(RICH, 4, half_width=half) for half in (1, 2, 4, 5, 6)}
    assert set(children_of(RICH, "FILTER-SIZE")) == wanted


def test_filter_sizes_stay_odd():
    for child in children_of(RICH, "FILTER-SIZE"):
        for layer in child.layers:
            if isinstance(layer.operation, Convolution):
                assert all(size % 2 == 1 for size in layer.operation.filter_shape)


def test_height_and_width_are_altered_equally_often():
    parent = Genotype(0.1, (convolution(1, half=(2, 2)),))
    sides = collections.Counter()
    for child, count in children_of(parent, "FILTER-SIZE").items():
        sides["height" if child.layers[0].operation.half_height != 2 else "width"] += count
    assert_uniform(sides, 2)


@pytest.mark.parametrize(
    ("factor", "value"),
    [(Fraction(1, 3), 1), (Fraction(2, 3), 2), (1, 3), (Fraction(7, 3), 7), (Fraction(10, 3), 10), (8, 24)],
)
def test_the_number_of_channels_becomes_every_integer_from_half_to_double(factor, value):
    parent = Genotype(0.1, (convolution(1, factor),))
    assert parent.channels(3) == (3, value)
    wanted = set(range(math.ceil(value / 2), 2 * value + 1)) - {value}
    assert {child.channels(3)[1] for child in children_of(parent, "ALTER-NUMBER-OF-CHANNELS")} == wanted


def test_ten_channels_become_5_to_20():
    parent = Genotype(0.1, (convolution(1, 10),))
    found = {child.channels(1)[1] for child in children_of(parent, "ALTER-NUMBER-OF-CHANNELS", image_shape=(8, 8, 1))}
    assert found == {5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}


def test_channels_that_were_rounded_move_from_what_they_are():
    # Half of 3 rounds to 2, so 1, 3 and 4 are its range.
    parent = Genotype(0.1, (convolution(1, Fraction(1, 2)),))
    assert parent.channels(3) == (3, 2)
    assert {child.channels(3)[1] for child in children_of(parent, "ALTER-NUMBER-OF-CHANNELS")} == {1, 3, 4}


def test_the_channels_of_every_convolution_are_altered_and_nothing_else_but_its_factor():
    altered = set()
    for child in children_of(RICH, "ALTER-NUMBER-OF-CHANNELS"):
        (index,) = (
            index for index, pair in enumerate(zip(RICH.layers, child.layers, strict=True)) if pair[0] != pair[1]
        )
        altered.add(index)
        factor = child.layers[index].operation.channel_factor
        assert child == changed_convolution(RICH, index, channel_factor=factor)
    assert altered == {0, 2, 4}


def test_later_layers_follow_altered_channels():
    parent = Genotype(0.1, (convolution(1, 4), convolution(2, 2)))
    for child in children_of(parent, "ALTER-NUMBER-OF-CHANNELS", image_shape=(8, 8, 1)):
        if child.layers[0] != parent.layers[0]:
            _, first, second = child.channels(1)
            assert second == 2 * first


# Skips.


@examples
def test_a_skip_is_added_between_every_pair_of_points_not_yet_joined(genotype):
    places = range(len(genotype.points))
    free = {
        (genotype.points[source], genotype.points[target])
        for source, target in itertools.combinations(places, 2)
        if target - source >= 2
    } - set(genotype.skips)
    wanted = {with_skips(genotype, [*genotype.skips, skip]) for skip in free}
    assert set(children_of(genotype, "ADD-SKIP")) == (wanted or {None})


def test_added_skips_are_drawn_uniformly():
    assert_uniform(children_of(THREE_CONVOLUTIONS, "ADD-SKIP"), 3)
    assert_uniform(children_of(RICH, "ADD-SKIP"), 6)


def test_every_skip_is_removed_and_uniformly_so():
    children = children_of(RICH, "REMOVE-SKIP")
    wanted = {with_skips(RICH, [skip for skip in RICH.skips if skip != removed]) for removed in RICH.skips}
    assert set(children) == wanted
    assert_uniform(children, 4)


# One of them for a birth.

NUM_DRAWS = 4400


def mutate(generator, parent, accepts=lambda child: True):
    """Returns the first child that is accepted, and the name of its mutation."""
    drawn = mutants(generator, parent, mutation.MUTATIONS, task_of(IMAGE_SHAPE))
    return next((made.name, child) for made, child in drawn if accepts(child))


def drawn_names(parent, accepts=lambda child: True):
    return collections.Counter(mutate(np.random.default_rng(seed), parent, accepts)[0] for seed in range(NUM_DRAWS))


def test_mutations_are_drawn_uniformly():
    counts = drawn_names(RICH)
    assert set(counts) == set(MUTATIONS)
    assert_uniform(counts, 11)


def test_a_mutation_that_cannot_apply_gives_way_to_another_draw():
    counts = drawn_names(INITIAL)
    assert set(counts) == set(MUTATIONS) - OF_A_CONVOLUTION - {"ADD-SKIP", "REMOVE-SKIP"}
    assert_uniform(counts, 5)


def test_a_child_that_is_not_accepted_gives_way_to_another_draw():
    counts = drawn_names(RICH, accepts=lambda child: child.layers == RICH.layers)
    assert set(counts) == CHANGING_NOTHING | {"ALTER-LEARNING-RATE", "ADD-SKIP", "REMOVE-SKIP"}
    assert_uniform(counts, 5)


def test_a_child_that_is_given_was_accepted():
    for seed in range(300):
        _, child = mutate(np.random.default_rng(seed), RICH, lambda child: sum(child.channels(3)) <= 90)
        assert sum(child.channels(3)) <= 90


def test_where_only_the_parent_is_accepted_a_mutation_that_changes_nothing_is_left():
    assert set(drawn_names(RICH, accepts=lambda child: child == RICH)) == CHANGING_NOTHING


@pytest.mark.parametrize("name", ["ALTER-STRIDE", "FILTER-SIZE", "ALTER-NUMBER-OF-CHANNELS"])
def test_however_large_a_number_is_it_moves_within_half_to_double(name):
    """Without writing down all that it could move to."""
    huge = 10**15
    parent = Genotype(0.1, (convolution(1, huge, (huge, huge), huge),))
    operation = MUTATIONS[name](np.random.default_rng(0), parent, task_of((8, 8, 1))).layers[0].operation
    fields = ("half_height", "half_width", "log2_stride", "channel_factor")
    moved = [getattr(operation, field) for field in fields if getattr(operation, field) != huge]
    assert len(moved) == 1
    assert huge // 2 <= moved[0] <= 2 * huge


def test_equal_generators_mutate_equally():
    for seed in range(50):
        twice = [mutate(np.random.default_rng(seed), RICH) for _ in range(2)]
        assert twice[0] == twice[1]


def number_of(operation, genotype):
    return sum(isinstance(layer.operation, operation) for layer in genotype.layers)


def test_the_name_that_is_given_is_the_mutation_that_was_made():
    made = set()
    for seed in range(300):
        name, child = mutate(np.random.default_rng(seed), RICH)
        made.add(name)
        convolutions = number_of(Convolution, child) - number_of(Convolution, RICH)
        identities = number_of(Identity, child) - number_of(Identity, RICH)
        assert convolutions == {"INSERT-CONVOLUTION": 1, "REMOVE-CONVOLUTION": -1}.get(name, 0)
        assert identities == {"INSERT-ONE-TO-ONE": 1}.get(name, 0)
        assert (child == RICH) == (name in CHANGING_NOTHING)
        assert (child.learning_rate != RICH.learning_rate) == (name == "ALTER-LEARNING-RATE")
        if name != "REMOVE-CONVOLUTION":
            skips = len(child.skips) - len(RICH.skips)
            assert skips == {"ADD-SKIP": 1, "REMOVE-SKIP": -1}.get(name, 0)
    assert made == set(MUTATIONS)
