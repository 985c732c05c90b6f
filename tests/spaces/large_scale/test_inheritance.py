"""Which arrays a child takes from its parent, and what the fresh ones are."""

import dataclasses
from fractions import Fraction

import jax
import numpy as np
import pytest
from helpers.compile_log import compilations
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
    inserted,
    one_to_one,
    random_genotype,
    replaced,
    with_skips,
)
from helpers.numpy_network import arrays_by_layer, random_variables

from jaxevo.doors.opening import built_in
from jaxevo.search.births import Outcome
from jaxevo.search.evolution import evolution
from jaxevo.search.space import Task
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale import mutation
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.inheritance import first_variables
from jaxevo.spaces.large_scale.layer_types import Convolution
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

SHAPE = (8, 8, 2)
CLASSES = 3
TASK = Task(SHAPE, CLASSES, validation_images=10)
MUTATIONS = {one.name: one.apply for one in mutation.MUTATIONS}
CLASSIFIER = {"classifier kernel", "classifier bias"}
BATCH_NORM = ("scale", "bias", "mean", "var")

BACKBONE = Genotype(
    0.1,
    (
        convolution(1, 2, activation=BN_RELU),
        one_to_one(2, BN_RELU),
        convolution(3, 1, (0, 1)),
        convolution(4, 2, (1, 1), 1, BN_RELU),
    ),
    ((1, 4),),
)
"""image (2) -> 1: conv, BN (4) -> 2: identity, BN -> 3: conv 1 x 3 -> 4: conv / 2, BN (8) -> pool; skip 1 -> 4"""

WHOLE = {
    *(f"{layer} kernel" for layer in (1, 3, 4)),
    *(f"{layer} {name}" for layer in (1, 2, 4) for name in BATCH_NORM),
    *CLASSIFIER,
}


def removed(genotype, layer_id, skips):
    layers = tuple(layer for layer in genotype.layers if layer.id != layer_id)
    return dataclasses.replace(genotype, layers=layers, skips=skips, removed_id=layer_id)


def of(layer, *names):
    return {f"{layer} {name}" for name in names}


# Name of the mutation, parent, child, what survives.
CASES = {
    "IDENTITY": [
        (BACKBONE, BACKBONE, WHOLE),
        (INITIAL, INITIAL, CLASSIFIER),
        (ONLY_IDENTITIES, ONLY_IDENTITIES, CLASSIFIER | of(2, *BATCH_NORM)),
    ],
    "INSERT-CONVOLUTION": [
        (BACKBONE, inserted(BACKBONE, 0, convolution(5, activation=BN_RELU)), WHOLE),
        (BACKBONE, inserted(BACKBONE, 2, convolution(5, log2_stride=1)), WHOLE),
        (BACKBONE, inserted(BACKBONE, 4, convolution(5)), WHOLE),
        (INITIAL, Genotype(0.1, (convolution(1, activation=BN_RELU),)), CLASSIFIER),
    ],
    "REMOVE-CONVOLUTION": [
        # 3 saw 4 channels and 4 saw 4; they see 2 now, and 4 gives 4 to the classifier.
        (BACKBONE, removed(BACKBONE, 1, ((0, 4),)), {*of("classifier", "bias")}),
        (BACKBONE, removed(BACKBONE, 3, ((1, 4),)), WHOLE - of(3, "kernel")),
        (
            BACKBONE,
            removed(BACKBONE, 4, ((1, 3),)),
            WHOLE - of(4, "kernel", *BATCH_NORM) - of("classifier", "kernel"),
        ),
        (ONE_CONVOLUTION, Genotype(0.1, removed_id=1), CLASSIFIER),
        (THREE_CONVOLUTIONS, removed(THREE_CONVOLUTIONS, 2, ()), CLASSIFIER | {"1 kernel", "3 kernel"}),
    ],
    "ALTER-STRIDE": [
        (BACKBONE, replaced(BACKBONE, 1, log2_stride=1), WHOLE),
        (BACKBONE, replaced(BACKBONE, 4, log2_stride=0), WHOLE),
        (BACKBONE, replaced(BACKBONE, 4, log2_stride=2), WHOLE),
    ],
    "ALTER-NUMBER-OF-CHANNELS": [
        # 4 becomes 3: everything after it changes its channels.
        (
            BACKBONE,
            replaced(BACKBONE, 1, channel_factor=Fraction(3, 2)),
            {*of("classifier", "bias")},
        ),
        # Only what leaves layer 3, enters layer 4 and comes after.
        (
            BACKBONE,
            replaced(BACKBONE, 3, channel_factor=Fraction(5, 4)),
            of(1, "kernel", *BATCH_NORM) | of(2, *BATCH_NORM) | of("classifier", "bias"),
        ),
        (
            BACKBONE,
            replaced(BACKBONE, 4, channel_factor=Fraction(1)),
            WHOLE - of(4, "kernel", *BATCH_NORM) - of("classifier", "kernel"),
        ),
        # 2 channels become 3 and 1 / 2 of them 2, not 1: the last layer's own number of channels does not stay either.
        (
            Genotype(0.1, (convolution(1), convolution(2, Fraction(1, 2), activation=BN_RELU))),
            Genotype(0.1, (convolution(1, Fraction(3, 2)), convolution(2, Fraction(1, 2), activation=BN_RELU))),
            of("classifier", "bias"),
        ),
        # 2 become 3, and 1 / 4 of either is 1: what comes after the second convolution stays.
        (
            Genotype(0.1, (convolution(1), convolution(2, Fraction(1, 4), activation=BN_RELU))),
            Genotype(0.1, (convolution(1, Fraction(3, 2)), convolution(2, Fraction(1, 4), activation=BN_RELU))),
            of(2, *BATCH_NORM) | CLASSIFIER,
        ),
    ],
    "FILTER-SIZE": [
        (BACKBONE, replaced(BACKBONE, 1, half_height=2), WHOLE - of(1, "kernel")),
        (BACKBONE, replaced(BACKBONE, 3, half_height=1), WHOLE - of(3, "kernel")),
        (BACKBONE, replaced(BACKBONE, 4, half_width=0), WHOLE - of(4, "kernel")),
    ],
    "INSERT-ONE-TO-ONE": [
        (BACKBONE, inserted(BACKBONE, 0, one_to_one(5, BN_RELU)), WHOLE),
        (BACKBONE, inserted(BACKBONE, 0, one_to_one(5)), WHOLE),
        (BACKBONE, inserted(BACKBONE, 2, one_to_one(5)), WHOLE),
        (INITIAL, Genotype(0.1, (one_to_one(1, BN_RELU),)), CLASSIFIER),
    ],
    "ADD-SKIP": [
        (BACKBONE, with_skips(BACKBONE, [(1, 4), (0, 3)]), WHOLE),
        (BACKBONE, with_skips(BACKBONE, [(1, 4), (2, 4)]), WHOLE),
        # A linear identity becomes one that computes, and shifts what stands after it.
        (
            Genotype(0.1, (convolution(1), one_to_one(2), convolution(3, activation=BN_RELU))),
            Genotype(0.1, (convolution(1), one_to_one(2), convolution(3, activation=BN_RELU)), ((0, 2),)),
            of(1, "kernel") | of(3, "kernel", *BATCH_NORM) | CLASSIFIER,
        ),
    ],
    "REMOVE-SKIP": [
        (BACKBONE, with_skips(BACKBONE, []), WHOLE),
        # A linear identity that computed is dropped now.
        (
            Genotype(0.1, (convolution(1), one_to_one(2), convolution(3, activation=BN_RELU)), ((0, 2),)),
            Genotype(0.1, (convolution(1), one_to_one(2), convolution(3, activation=BN_RELU))),
            of(1, "kernel") | of(3, "kernel", *BATCH_NORM) | CLASSIFIER,
        ),
    ],
    "ALTER-LEARNING-RATE": [],  # Its child cannot be written down: see the test of its own.
    "RESET-WEIGHTS": [],  # Its child is not given its parent's arrays: see the tests of births.
}
HAND_MADE = [(name, *case) for name, cases in CASES.items() for case in cases]
over_hand_made = pytest.mark.parametrize(
    ("name", "parent", "child", "expected"),
    HAND_MADE,
    ids=[f"{name} {place}" for name, cases in CASES.items() for place in range(len(cases))],
)


def shapes_of(genotype, classes=CLASSES):
    return variable_shapes(Phenotype(architecture(genotype, SHAPE), classes))


def trained(genotype, seed=1):
    """Returns a parent's variables: random numbers that no fresh array has."""
    return random_variables(shapes_of(genotype), seed)


def first(genotype, parent=None, seed=0, individual_id=7):
    """Returns an individual's first variables; `parent` is (genotype, variables)."""
    return first_variables(seed, individual_id, genotype, shapes_of(genotype), parent)


def by_layer(genotype, variables):
    """Returns all arrays by 'id name' of their layer."""
    filters, normalisations = arrays_by_layer(genotype, variables)
    return (
        {f"{layer} kernel": array for layer, array in filters.items()}
        | {f"{layer} {name}": array for layer, arrays in normalisations.items() for name, array in arrays.items()}
        | {f"classifier {name}": array for name, array in variables["params"]["classifier"].items()}
    )


def survivors(parent, parent_variables, child, child_variables):
    """Returns which of the child's arrays are the parent's, once the others are seen to be fresh."""
    theirs, own = by_layer(parent, parent_variables), by_layer(child, child_variables)
    fresh = by_layer(child, first(child))
    inherited = {name for name, array in own.items() if name in theirs and np.array_equal(array, theirs[name])}
    for name in own.keys() - inherited:
        np.testing.assert_array_equal(own[name], fresh[name], err_msg=f"{name} is neither inherited nor fresh")
    return inherited


# What survives a mutation.


def test_every_mutation_has_cases():
    assert CASES.keys() == MUTATIONS.keys()


@over_hand_made
def test_the_hand_made_children_are_what_the_mutation_makes(name, parent, child, expected):
    drawn = (MUTATIONS[name](np.random.default_rng(seed), parent, TASK) for seed in range(500))
    assert child in drawn


@over_hand_made
def test_exactly_what_agrees_in_layer_and_shape_survives_a_mutation(name, parent, child, expected):
    variables = trained(parent)
    assert survivors(parent, variables, child, first(child, (parent, variables))) == expected


@pytest.mark.parametrize("parent", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_everything_survives_another_learning_rate(parent):
    child = MUTATIONS["ALTER-LEARNING-RATE"](np.random.default_rng(0), parent, TASK)
    assert child.learning_rate != parent.learning_rate
    variables = trained(parent)
    everything = by_layer(parent, variables).keys()
    assert survivors(parent, variables, child, first(child, (parent, variables))) == everything


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_survivors_follow_from_layers_and_shapes_whatever_is_drawn(name):
    for parent in (RICH, BACKBONE, random_genotype(3, 25, SHAPE, 3_000)):
        variables = trained(parent)
        before = array_shapes(parent)
        for seed in range(4):
            child = MUTATIONS[name](np.random.default_rng(seed), parent, TASK)
            if child is None:
                continue
            agreeing = {array for array, shape in array_shapes(child).items() if before.get(array) == shape}
            assert survivors(parent, variables, child, first(child, (parent, variables))) == agreeing


def array_shapes(genotype):
    """Returns the shapes of a genotype's arrays by 'id name', from the genotype alone."""
    channels = genotype.channels(SHAPE[2])
    shapes = {"classifier kernel": (channels[-1], CLASSES), "classifier bias": (CLASSES,)}
    for layer, entering, leaving in zip(genotype.layers, channels, channels[1:], strict=False):
        if isinstance(layer.operation, Convolution):
            shapes[f"{layer.id} kernel"] = (*layer.operation.filter_shape, entering, leaving)
        if layer.activation is BN_RELU:
            shapes |= {f"{layer.id} {name}": (leaving,) for name in BATCH_NORM}
    return shapes


def test_a_linear_identity_in_front_changes_no_inheritance():
    padded = inserted(inserted(THREE_CONVOLUTIONS, 1, one_to_one(8)), 0, one_to_one(9))
    for parent, child in ((THREE_CONVOLUTIONS, padded), (padded, THREE_CONVOLUTIONS), (padded, padded)):
        variables = trained(parent)
        found = survivors(parent, variables, child, first(child, (parent, variables)))
        assert found == {"1 kernel", "2 kernel", "3 kernel", *CLASSIFIER}


def test_layers_are_found_by_id_and_not_by_place():
    parent = Genotype(0.1, (convolution(1), convolution(2)))
    child = Genotype(0.1, (convolution(2), convolution(1)))
    variables = trained(parent)
    assert survivors(parent, variables, child, first(child, (parent, variables))) == {
        "1 kernel",
        "2 kernel",
        *CLASSIFIER,
    }


def test_a_layer_of_another_id_inherits_nothing_at_the_same_place():
    parent = Genotype(0.1, (convolution(1, activation=BN_RELU),))
    child = Genotype(0.1, (convolution(2, activation=BN_RELU),))
    variables = trained(parent)
    assert survivors(parent, variables, child, first(child, (parent, variables))) == CLASSIFIER


def test_the_parents_arrays_are_not_changed_by_a_child():
    variables = trained(BACKBONE)
    child = replaced(BACKBONE, 1, half_height=2)
    first(child, (BACKBONE, variables))
    jax.tree.map(np.testing.assert_array_equal, variables, trained(BACKBONE))


@pytest.mark.parametrize("genotype", [*EXAMPLES.values(), BACKBONE])
def test_without_a_parent_nothing_survives(genotype):
    assert survivors(genotype, trained(genotype), genotype, first(genotype)) == set()


# Births: who is given a parent's arrays.


def births_by_mutation(inheritance):
    """Returns one birth of every mutation from an evolution with made-up outcomes."""
    settings = Settings(population_size=8, num_workers=2, train_steps=10, inheritance=inheritance)
    search = evolution(settings, built_in(settings), TASK)
    state, births = search.ask(search.init())
    found = {}
    for _ in range(1_000):
        found |= {birth.mutation: birth for birth in births}
        due = state.in_flight[0].id
        state = search.tell(state, Outcome(due, (due % 7) / 10, f"weights {due}", f"hash {due}"))
        state, births = search.ask(state)
    return found


def test_a_child_by_any_mutation_but_reset_weights_is_given_its_parents_weights():
    births = births_by_mutation("shape")
    assert births.keys() == {None, *MUTATIONS}
    given = {name for name, birth in births.items() if birth.inherited is not None}
    assert given == MUTATIONS.keys() - {"RESET-WEIGHTS"}


def test_without_inheritance_no_child_is_given_weights():
    births = births_by_mutation("none")
    assert births.keys() == {None, *MUTATIONS}
    assert all(birth.inherited is None for birth in births.values())


# Fresh arrays.


def test_a_fresh_array_is_the_same_in_every_genotype_that_has_the_layer():
    layer = convolution(5, 2, (1, 2), activation=BN_RELU)
    genotypes = [
        Genotype(0.1, (layer,)),
        Genotype(0.7, (layer, convolution(6, 2))),
        Genotype(0.1, (one_to_one(1), convolution(2, activation=BN_RELU), one_to_one(3, BN_RELU), layer)),
        Genotype(0.1, (convolution(2), one_to_one(9), layer), ((0, 5),)),
    ]
    kernels = [by_layer(genotype, first(genotype))["5 kernel"] for genotype in genotypes]
    assert kernels[0].shape == (3, 5, 2, 4)
    for kernel in kernels[1:]:
        np.testing.assert_array_equal(kernel, kernels[0])


def test_a_fresh_array_does_not_depend_on_what_is_inherited_beside_it():
    child = replaced(BACKBONE, 3, half_height=1)
    beside = by_layer(child, first(child, (BACKBONE, trained(BACKBONE))))["3 kernel"]
    np.testing.assert_array_equal(beside, by_layer(child, first(child))["3 kernel"])


def test_fresh_kernels_differ_by_seed_individual_layer_and_array():
    genotype = Genotype(0.1, (convolution(1, 1, (0, 0)), convolution(2, 1, (0, 0))))
    shapes = shapes_of(genotype, classes=SHAPE[2])
    # All kernels have four numbers.
    kernels = []
    for seed, individual_id in [(0, 0), (0, 1), (1, 0), (1, 1), (2**40, 2**40)]:
        arrays = by_layer(genotype, first_variables(seed, individual_id, genotype, shapes, None))
        kernels += [tuple(arrays[name].ravel().tolist()) for name in ("1 kernel", "2 kernel", "classifier kernel")]
    assert len(set(kernels)) == len(kernels) == 15
    assert len({number for kernel in kernels for number in kernel}) == 60


def test_fresh_variables_are_the_same_every_time():
    jax.tree.map(np.testing.assert_array_equal, first(RICH), first(RICH))


def test_fresh_normalisation_changes_nothing_and_fresh_biases_are_zero():
    arrays = by_layer(BACKBONE, first(BACKBONE))
    for layer in (1, 2, 4):
        assert set(arrays[f"{layer} scale"]) == set(arrays[f"{layer} var"]) == {1.0}
        assert set(arrays[f"{layer} bias"]) == set(arrays[f"{layer} mean"]) == {0.0}
    assert set(arrays["classifier bias"]) == {0.0}


@pytest.mark.parametrize("half", [(0, 0), (1, 1), (0, 3)])
def test_fresh_filters_are_he_normal(half):
    genotype = Genotype(0.1, (convolution(1, 32, (0, 0)), convolution(2, 2, half, activation=LINEAR)))
    kernel = by_layer(genotype, first(genotype))["2 kernel"]
    fan_in = (2 * half[0] + 1) * (2 * half[1] + 1) * 64
    assert kernel.shape[2:] == (64, 128)
    # The standard error of a deviation is 1 / sqrt(2 n) of it.
    assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=4 / np.sqrt(2 * kernel.size))
    assert abs(kernel.mean()) < 4 * kernel.std() / np.sqrt(kernel.size)
    # The channels of one filter, and the filters, are drawn apart.
    assert len(np.unique(kernel)) > 0.99 * kernel.size


@pytest.mark.parametrize("parent", [None, BACKBONE], ids=["fresh", "inherited"])
def test_variables_have_the_shapes_and_types_of_the_network(parent):
    child = replaced(BACKBONE, 1, channel_factor=Fraction(3, 2))
    variables = first(child, None if parent is None else (parent, trained(parent)))
    expected = jax.tree.map(lambda array: (array.shape, array.dtype), shapes_of(child))
    found = jax.tree.map(lambda array: (array.shape, array.dtype), variables)
    assert found == expected
    assert all(type(array) is np.ndarray for array in jax.tree.leaves(variables))


def test_nothing_compiles_while_first_variables_are_made():
    shape_of_its_own = Genotype(0.1, (convolution(1, 13, (2, 3), activation=BN_RELU), convolution(2, 2)))
    child = replaced(shape_of_its_own, 2, half_height=3)
    with compilations() as compiled:
        variables = first(shape_of_its_own)
        first(child, (shape_of_its_own, variables))
    assert compiled == []


def test_a_compilation_would_be_seen():
    with compilations() as compiled:
        jax.block_until_ready(jax.jit(lambda x: x * 3.25 + 17)(np.ones(19, np.float32)))
    assert len(compiled) == 1
