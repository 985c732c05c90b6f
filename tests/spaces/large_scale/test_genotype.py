"""What an individual is: construction, JSON, architecture and text form."""

import copy
import dataclasses
import json
import math
import re
from fractions import Fraction

import pytest
from helpers.births import task_of
from helpers.genotypes import (
    BN_RELU,
    EXAMPLES,
    INITIAL,
    LINEAR,
    ONE_CONVOLUTION,
    RICH,
    THREE_CONVOLUTIONS,
    convolution,
    one_to_one,
    random_genotype,
    with_skips,
)

from jaxevo.reports.drawing import drawing_text
from jaxevo.spaces.large_scale.architecture import architecture, computing_layers
from jaxevo.spaces.large_scale.drawing import draw
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer, genotype_from_json
from jaxevo.spaces.large_scale.layer_types import Convolution, Identity
from jaxevo.spaces.large_scale.layer_types.convolution import PlacedConvolution
from jaxevo.spaces.large_scale.layer_types.identity import PlacedIdentity

examples = pytest.mark.parametrize("genotype", EXAMPLES.values(), ids=EXAMPLES.keys())


# Construction.


@pytest.mark.parametrize("learning_rate", [0.0, -0.1, math.nan, math.inf, -math.inf, 1, "0.1", None, True])
def test_a_learning_rate_must_be_a_finite_float_above_0(learning_rate):
    with pytest.raises(ValueError, match=f"learning_rate is {re.escape(repr(learning_rate))}, but must be"):
        Genotype(learning_rate)


@pytest.mark.parametrize("factor", [Fraction(0), Fraction(-1, 2), 2, 1.5, "3/2", None])
def test_a_channel_factor_must_be_a_fraction_above_0(factor):
    with pytest.raises(ValueError, match=f"channel_factor is {re.escape(repr(factor))}, but must be"):
        Convolution(factor, 1, 1, 0)


@pytest.mark.parametrize("name", ["half_height", "half_width", "log2_stride"])
@pytest.mark.parametrize("value", [-1, 1.0, math.nan, "1", None, True])
def test_half_sizes_and_strides_must_be_whole_numbers_from_0(name, value):
    fields = {"channel_factor": Fraction(1), "half_height": 1, "half_width": 1, "log2_stride": 0}
    with pytest.raises(ValueError, match=f"{name} is {re.escape(repr(value))}, but must be"):
        Convolution(**fields | {name: value})


@pytest.mark.parametrize("layer_id", [0, -3, 1.0, "1", None, True])
def test_a_layer_id_must_be_a_whole_number_above_the_images(layer_id):
    with pytest.raises(ValueError, match=f"id is {re.escape(repr(layer_id))}, but must be"):
        Layer(layer_id, Identity(), LINEAR)


@pytest.mark.parametrize("operation", [None, "identity", Identity, LINEAR])
def test_an_operation_must_be_a_convolution_or_an_identity(operation):
    with pytest.raises(ValueError, match=f"operation of layer 4 is {re.escape(repr(operation))}, but must be"):
        Layer(4, operation, LINEAR)


@pytest.mark.parametrize("activation", [None, "linear", "relu", 0])
def test_an_activation_must_be_one_of_the_two(activation):
    with pytest.raises(ValueError, match=f"activation of layer 4 is {re.escape(repr(activation))}, but must"):
        Layer(4, Identity(), activation)


def test_two_layers_may_not_share_an_id():
    with pytest.raises(ValueError, match=r"share an id: \[2, 1, 2\]"):
        Genotype(0.1, (one_to_one(2), one_to_one(1), convolution(2)))


@pytest.mark.parametrize("skip", [(0, 4), (9, 3), (-1, 3)])
def test_a_skip_may_not_name_a_foreign_id(skip):
    foreign = next(point for point in skip if point not in THREE_CONVOLUTIONS.points)
    with pytest.raises(ValueError, match=f"skip {skip[0]} -> {skip[1]} names point {foreign}"):
        with_skips(THREE_CONVOLUTIONS, [skip])


@pytest.mark.parametrize("skip", [(3, 1), (2, 0), (3, 2), (2, 2), (0, 0)])
def test_a_skip_that_goes_back_is_a_cycle_and_refused(skip):
    with pytest.raises(ValueError, match=f"skip {skip[0]} -> {skip[1]} goes back"):
        with_skips(THREE_CONVOLUTIONS, [skip])


def test_back_and_forth_are_told_by_place_and_not_by_id():
    layers = (one_to_one(9), one_to_one(5), one_to_one(1))
    assert Genotype(0.1, layers, ((9, 1),)).skips == ((9, 1),)
    with pytest.raises(ValueError, match="skip 1 -> 9 goes back"):
        Genotype(0.1, layers, ((1, 9),))


@pytest.mark.parametrize("skip", [(0, 1), (1, 2), (2, 3)])
def test_neighbours_are_joined_by_the_backbone_already(skip):
    with pytest.raises(ValueError, match=f"skip {skip[0]} -> {skip[1]} .*neighbours"):
        with_skips(THREE_CONVOLUTIONS, [skip])


def test_a_skip_may_not_stand_twice():
    with pytest.raises(ValueError, match="twice"):
        with_skips(THREE_CONVOLUTIONS, [(0, 2), (1, 3), (0, 2)])


@pytest.mark.parametrize("skip", [(0,), (0, 1, 2), (0, None), (0, 2.5), (0, [3])])
def test_a_skip_that_is_no_pair_of_ids_is_refused_with_a_sentence(skip):
    with pytest.raises(ValueError, match=r"skip .*0"):
        with_skips(THREE_CONVOLUTIONS, [skip])


def test_a_layer_that_is_no_layer_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"layer.*Identity"):
        Genotype(0.1, (Identity(),))


def test_lists_are_refused_or_become_tuples_so_that_a_genotype_is_always_hashable():
    try:
        genotype = Genotype(0.1, [one_to_one(1), one_to_one(2)], [(0, 2)])
    except ValueError:
        return
    assert hash(genotype) == hash(Genotype(0.1, (one_to_one(1), one_to_one(2)), ((0, 2),)))


@examples
def test_a_genotype_is_frozen(genotype):
    with pytest.raises(dataclasses.FrozenInstanceError):
        genotype.learning_rate = 0.2


def test_equal_genotypes_have_equal_hashes():
    assert copy.deepcopy(RICH) == RICH
    assert hash(copy.deepcopy(RICH)) == hash(RICH)
    assert dataclasses.replace(RICH, learning_rate=0.2) != RICH


def test_skips_given_in_any_order_make_the_same_genotype():
    assert with_skips(RICH, reversed(RICH.skips)) == RICH


def test_points_are_the_image_and_then_the_layers():
    assert RICH.points == (0, 3, 1, 7, 2, 5)
    assert INITIAL.points == (0,)


@examples
def test_a_fresh_id_is_no_layers_id(genotype):
    assert genotype.fresh_id not in genotype.points
    assert Layer(genotype.fresh_id, Identity(), LINEAR)


@pytest.mark.parametrize("half", [0, 1, 2, 7])
def test_filter_sizes_are_twice_the_half_and_one(half):
    assert Convolution(Fraction(1), half, half + 1, 0).filter_shape == (2 * half + 1, 2 * half + 3)


def test_channels_are_relative_to_the_input():
    layers = (convolution(1, 16), one_to_one(2), convolution(3, 2), convolution(4, Fraction(1, 4)))
    assert Genotype(0.1, layers).channels(1) == (1, 16, 16, 32, 8)
    assert Genotype(0.1, layers).channels(3) == (3, 48, 48, 96, 24)


def test_a_convolution_has_at_least_one_channel():
    assert Convolution(Fraction(1, 100), 1, 1, 0).channels(3) == 1


# JSON.


@examples
def test_a_genotype_survives_json_exactly(genotype):
    read = genotype_from_json(json.loads(json.dumps(genotype.to_json())))
    assert read == genotype
    assert read.to_json() == genotype.to_json()


@pytest.mark.parametrize("learning_rate", [0.1, 1 / 3, 1.0, 5e-324, 1.7e308, 0.1 * 2**0.123456789])
def test_every_bit_of_the_learning_rate_survives_json(learning_rate):
    text = json.dumps(Genotype(learning_rate).to_json())
    assert genotype_from_json(json.loads(text)).learning_rate.hex() == learning_rate.hex()


@pytest.mark.parametrize("factor", [Fraction(1, 3), Fraction(7), Fraction(2**63 - 1, 3)])
def test_a_channel_factor_survives_json_exactly(factor):
    genotype = Genotype(0.1, (convolution(1, factor),))
    assert genotype_from_json(json.loads(json.dumps(genotype.to_json()))) == genotype


@pytest.mark.parametrize("seed", range(20))
def test_a_random_genotype_survives_json_exactly(seed):
    genotype = random_genotype(seed, 40, (8, 8, 1))
    assert genotype_from_json(json.loads(json.dumps(genotype.to_json()))) == genotype


def _three_layers_as_json():
    layers = (convolution(1), one_to_one(2), convolution(3))
    return Genotype(0.1, layers, ((0, 2), (1, 3))).to_json()


def _changed(path, value):
    """Returns the JSON of a small genotype with the value at a path replaced."""
    fields = _three_layers_as_json()
    place = fields
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return fields


@pytest.mark.parametrize("name", ["learning_rate", "layers", "skips"])
def test_the_reader_rejects_a_genotype_without_one_of_its_fields(name):
    fields = _three_layers_as_json()
    del fields[name]
    with pytest.raises(ValueError, match=f"genotype has the fields .* must have .*{name}"):
        genotype_from_json(fields)


@pytest.mark.parametrize(
    "name", ["id", "operation", "activation", "channel_factor", "half_height", "half_width", "log2_stride"]
)
def test_the_reader_rejects_a_layer_without_one_of_its_fields(name):
    fields = _three_layers_as_json()
    del fields["layers"][0][name]
    with pytest.raises(ValueError, match=rf"a layer (is|has) .*{name}|operation must be"):
        genotype_from_json(fields)


@pytest.mark.parametrize("path", [("colour",), ("layers", 0, "colour"), ("layers", 1, "colour")])
def test_the_reader_rejects_an_unknown_field_and_names_it(path):
    with pytest.raises(ValueError, match="colour"):
        genotype_from_json(_changed(path, 1))


def test_the_reader_rejects_an_identity_with_the_fields_of_a_convolution():
    with pytest.raises(ValueError, match="half_width"):
        genotype_from_json(_changed(("layers", 1, "half_width"), 1))


@pytest.mark.parametrize("skip", [[2, 0], [3, 1], [1, 1], [3, 2]])
def test_the_reader_rejects_cycles(skip):
    with pytest.raises(ValueError, match=f"{skip[0]} -> {skip[1]} goes back"):
        genotype_from_json(_changed(("skips",), [skip]))


@pytest.mark.parametrize("skip", [[0, 9], [9, 3], [-1, 3]])
def test_the_reader_rejects_foreign_ids(skip):
    with pytest.raises(ValueError, match=r"names point (9|-1)"):
        genotype_from_json(_changed(("skips",), [skip]))


@pytest.mark.parametrize(
    "path",
    [("learning_rate",), ("layers", 0, "half_height"), ("layers", 0, "id"), ("layers", 0, "log2_stride")],
)
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_the_reader_rejects_numbers_that_are_not_finite(path, text):
    fields = json.loads(json.dumps(_changed(path, "HERE")).replace('"HERE"', text))
    with pytest.raises(ValueError, match=r"(nan|inf), but must be"):
        genotype_from_json(fields)


@pytest.mark.parametrize("layer_id", [0, -1, 2**63, True, 1.0, "1", None])
def test_a_layers_id_is_a_whole_number_above_the_images(layer_id):
    with pytest.raises(ValueError, match=rf"a layer's id is {layer_id!r}, but must be a whole number from 1 to \d+"):
        convolution(layer_id)
    with pytest.raises(ValueError, match="a layer's id is"):
        genotype_from_json(_changed(("layers", 0, "id"), layer_id))


@pytest.mark.parametrize("factor", [Fraction(2**63), Fraction(1, 2**63)])
def test_a_channel_factor_is_of_numbers_that_can_be_written(factor):
    with pytest.raises(ValueError, match=r"channel_factor is .* must be a Fraction above 0 of numbers up to"):
        convolution(1, factor)


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "1/0", "0", "-1/2", "", "two", " 3/2 ", "1_0", "0.5", "1e5000", "\u0663/2", 1.5, 2, None, [1, 2]],
)
def test_the_reader_rejects_a_channel_factor_that_is_no_fraction_above_0(text):
    with pytest.raises(ValueError, match=r"channel_factor is .*, but must be"):
        genotype_from_json(_changed(("layers", 0, "channel_factor"), text))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("learning_rate",), "0.1"),
        (("learning_rate",), None),
        (("layers",), {}),
        (("layers",), None),
        (("layers", 0), None),
        (("layers", 0), [1]),
        (("layers", 0), "convolution"),
        (("layers", 0, "id"), "1"),
        (("layers", 0, "id"), True),
        (("layers", 0, "id"), 0),
        (("layers", 0, "id"), 3),
        (("layers", 0, "operation"), "pooling"),
        (("layers", 0, "operation"), None),
        (("layers", 0, "operation"), ["identity"]),
        (("layers", 0, "activation"), "relu"),
        (("layers", 0, "activation"), None),
        (("layers", 0, "activation"), ["linear"]),
        (("layers", 0, "half_height"), -1),
        (("layers", 0, "half_height"), 1.0),
        (("layers", 0, "half_width"), True),
        (("layers", 0, "log2_stride"), "0"),
        (("skips",), {}),
        (("skips",), "02"),
        (("skips", 0), [0]),
        (("skips", 0), [0, 2, 3]),
        (("skips", 0), "02"),
        (("skips", 0), [0, "2"]),
        (("skips", 0), [0, 2.0]),
        (("skips", 0), [False, 2]),
        (("skips", 0), [0, None]),
        (("skips", 0), None),
        (("skips", 0), [1, 3]),
        (("skips", 0), [1, 2]),
    ],
)
def test_the_reader_rejects_wrong_types_and_values_with_a_sentence(path, value):
    with pytest.raises(ValueError, match=r"\w+ \w+.*"):
        genotype_from_json(_changed(path, value))


@pytest.mark.parametrize("fields", [None, [], "genotype", 1, {}])
def test_the_reader_rejects_what_is_no_genotype_at_all(fields):
    with pytest.raises(ValueError, match="genotype"):
        genotype_from_json(fields)


# Architecture.

IMAGE_SHAPE = (8, 8, 3)


def _renumbered(genotype, new_ids):
    layers = tuple(dataclasses.replace(layer, id=new_ids[layer.id]) for layer in genotype.layers)
    new_ids = {0: 0} | new_ids
    return Genotype(genotype.learning_rate, layers, tuple((new_ids[a], new_ids[b]) for a, b in genotype.skips))


def test_an_architecture_does_not_depend_on_ids():
    new_ids = {3: 40, 1: 50, 7: 10, 2: 30, 5: 20}
    assert architecture(_renumbered(RICH, new_ids), IMAGE_SHAPE) == architecture(RICH, IMAGE_SHAPE)


def test_an_architecture_does_not_depend_on_the_learning_rate():
    faster = dataclasses.replace(RICH, learning_rate=0.7)
    assert architecture(faster, IMAGE_SHAPE) == architecture(RICH, IMAGE_SHAPE)


def test_an_architecture_is_hashable_and_so_a_key():
    assert len({architecture(RICH, IMAGE_SHAPE), architecture(copy.deepcopy(RICH), IMAGE_SHAPE)}) == 1


def test_an_architecture_depends_on_the_image_shape():
    assert architecture(INITIAL, (8, 8, 1)) != architecture(INITIAL, (8, 8, 3))


@pytest.mark.parametrize(
    "other",
    [
        Genotype(0.1, (convolution(1, 2, (1, 1), 0, BN_RELU),)),
        Genotype(0.1, (convolution(1, 1, (2, 1), 0, BN_RELU),)),
        Genotype(0.1, (convolution(1, 1, (1, 2), 0, BN_RELU),)),
        Genotype(0.1, (convolution(1, 1, (1, 1), 1, BN_RELU),)),
        Genotype(0.1, (convolution(1, 1, (1, 1), 0, LINEAR),)),
        Genotype(0.1, (one_to_one(1, BN_RELU),)),
        INITIAL,
    ],
)
def test_genotypes_that_compute_differently_have_different_architectures(other):
    assert architecture(other, IMAGE_SHAPE) != architecture(ONE_CONVOLUTION, IMAGE_SHAPE)


def test_different_skips_make_different_architectures():
    keys = {
        architecture(with_skips(THREE_CONVOLUTIONS, skips), IMAGE_SHAPE)
        for skips in ([], [(0, 2)], [(0, 3)], [(1, 3)], [(0, 2), (1, 3)])
    }
    assert len(keys) == 5


def test_channel_factors_are_resolved_to_channel_numbers():
    genotype = Genotype(0.1, (convolution(1, 4), convolution(2, Fraction(1, 2))))
    assert [layer.operation.shape[2] for layer in architecture(genotype, IMAGE_SHAPE).layers] == [12, 6]


def test_factors_that_resolve_to_the_same_channels_share_one_architecture():
    one, other = (Genotype(0.1, (convolution(1, factor),)) for factor in (Fraction(4, 3), Fraction(17, 12)))
    assert one.channels(3) == other.channels(3) == (3, 4)
    assert architecture(one, IMAGE_SHAPE) == architecture(other, IMAGE_SHAPE)


def test_layers_stand_as_they_compute():
    found = architecture(RICH, IMAGE_SHAPE)
    assert [layer.operation for layer in found.layers] == [
        PlacedConvolution((8, 8, 3), (8, 8, 12), (3, 3), stride=1),
        PlacedIdentity((8, 8, 12), (8, 8, 12)),
        PlacedConvolution((8, 8, 12), (4, 4, 18), (5, 1), stride=2),
        PlacedIdentity((4, 4, 18), (4, 4, 18)),
        PlacedConvolution((4, 4, 18), (4, 4, 18), (1, 7), stride=1),
    ]
    assert [layer.activation for layer in found.layers] == [BN_RELU, LINEAR, LINEAR, BN_RELU, BN_RELU]
    assert found.skips == ((0, 2), (1, 3), (1, 5), (2, 4))


def test_shapes_follow_strides_and_channels():
    layers = (convolution(1, 2, log2_stride=1), one_to_one(2, BN_RELU), convolution(3, 3, log2_stride=2))
    found = architecture(Genotype(0.1, layers), (7, 12, 1))
    assert found.shapes == ((7, 12, 1), (4, 6, 2), (4, 6, 2), (1, 2, 6))


@pytest.mark.parametrize("place", range(4))
def test_a_linear_identity_is_dropped_wherever_it_stands(place):
    layers = THREE_CONVOLUTIONS.layers
    longer = Genotype(0.1, (*layers[:place], one_to_one(9), *layers[place:]))
    assert architecture(longer, IMAGE_SHAPE) == architecture(THREE_CONVOLUTIONS, IMAGE_SHAPE)


def test_an_identity_with_batch_norm_and_relu_is_kept():
    genotype = Genotype(0.1, (one_to_one(1, BN_RELU),))
    assert architecture(genotype, IMAGE_SHAPE) != architecture(INITIAL, IMAGE_SHAPE)


def test_a_skip_from_a_dropped_identity_starts_at_the_point_before_it():
    # image -> 1: conv -> 9: identity -> 2: conv -> 3: conv, skip 9 -> 3.
    layers = (convolution(1), one_to_one(9), convolution(2), convolution(3))
    repointed = architecture(Genotype(0.1, layers, ((9, 3),)), IMAGE_SHAPE)
    assert repointed == architecture(with_skips(THREE_CONVOLUTIONS, [(1, 3)]), IMAGE_SHAPE)


def test_a_skip_from_an_identity_at_the_image_starts_at_the_image():
    layers = (one_to_one(9), *THREE_CONVOLUTIONS.layers)
    repointed = architecture(Genotype(0.1, layers, ((9, 2),)), IMAGE_SHAPE)
    assert repointed == architecture(with_skips(THREE_CONVOLUTIONS, [(0, 2)]), IMAGE_SHAPE)


def test_a_skip_over_dropped_identities_keeps_its_ends():
    layers = (convolution(1), one_to_one(8), one_to_one(9), convolution(2), convolution(3))
    repointed = architecture(Genotype(0.1, layers, ((1, 3),)), IMAGE_SHAPE)
    assert repointed == architecture(with_skips(THREE_CONVOLUTIONS, [(1, 3)]), IMAGE_SHAPE)


def test_a_linear_identity_that_a_skip_enters_is_a_sum_and_is_kept():
    # image -> 1: conv -> 2: identity, skip 0 -> 2: it adds the image.
    genotype = Genotype(0.1, (convolution(1), one_to_one(2)), ((0, 2),))
    found = architecture(genotype, IMAGE_SHAPE)
    assert len(found.layers) == 2
    assert found.skips == ((0, 2),)


def test_skips_that_a_dropped_identity_kept_apart_both_count():
    # image -> 1: identity -> 2: conv -> 3: conv, skips 0 -> 3 and 1 -> 3: the image is added twice.
    layers = (one_to_one(1), convolution(2), convolution(3))
    assert architecture(Genotype(0.1, layers, ((0, 3), (1, 3))), IMAGE_SHAPE).skips == ((0, 2), (0, 2))


def test_skips_that_come_to_start_at_one_point_stand_in_one_order():
    # image -> 1: identity -> 2: conv -> 3: conv -> 4: conv: the image is added at 3 and at 4 either way.
    layers = (one_to_one(1), convolution(2), convolution(3), convolution(4))
    one, other = (Genotype(0.1, layers, skips) for skips in (((0, 4), (1, 3)), ((0, 3), (1, 4))))
    assert architecture(one, IMAGE_SHAPE) == architecture(other, IMAGE_SHAPE)


def test_a_skip_around_a_dropped_identity_joins_neighbours():
    layers = (convolution(1), one_to_one(2), convolution(3))
    assert architecture(Genotype(0.1, layers, ((1, 3),)), IMAGE_SHAPE).skips == ((1, 2),)


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (5, 5, 1), (3, 8, 1), (8, 3, 1)])
def test_strides_beyond_the_map_share_one_architecture(image_shape):
    keys = {
        architecture(Genotype(0.1, (convolution(1, log2_stride=log2_stride),)), image_shape)
        for log2_stride in (3, 4, 5, 100, 10**6)
    }
    assert len(keys) == 1
    assert keys.pop().shapes[-1] == (1, 1, 1)


def test_strides_within_the_map_have_architectures_of_their_own():
    keys = {
        architecture(Genotype(0.1, (convolution(1, log2_stride=log2_stride),)), (8, 8, 1)) for log2_stride in range(4)
    }
    assert len(keys) == 4


def test_the_map_that_bounds_a_stride_is_the_one_before_the_layer():
    layers = (convolution(1, log2_stride=2), convolution(2, log2_stride=2))
    found = architecture(Genotype(0.1, layers), (8, 8, 1))
    assert [layer.operation.stride for layer in found.layers] == [4, 2]


@examples
def test_computing_layers_stand_one_for_one_in_the_architecture(genotype):
    layers = computing_layers(genotype)
    found = architecture(genotype, IMAGE_SHAPE).layers
    assert [layer.activation for layer in layers] == [layer.activation for layer in found]
    assert [getattr(layer.operation, "filter_shape", None) for layer in layers] == [
        getattr(layer.operation, "filter_shape", None) for layer in found
    ]


# Text form.


def text_of(genotype, image_shape=IMAGE_SHAPE):
    return drawing_text(draw(genotype, task_of(image_shape)))


@examples
def test_the_text_form_has_one_line_a_layer_between_image_and_pool(genotype):
    lines = text_of(genotype).splitlines()
    assert lines[0].startswith("image")
    assert lines[1 + len(genotype.layers)].startswith("pool")
    for layer, line in zip(genotype.layers, lines[1:], strict=False):
        assert line.startswith(f"layer {layer.id} ")


def test_the_text_form_shows_shapes_filters_strides_activations_and_skips():
    lines = text_of(RICH).splitlines()
    assert re.fullmatch(r"image +8 x 8 x 3", lines[0])
    assert re.fullmatch(r"layer 3 +conv 3 x 3, BN \+ ReLU +8 x 8 x 12", lines[1])
    assert re.fullmatch(r"layer 1 +identity +8 x 8 x 12 +\+ image", lines[2])
    assert re.fullmatch(r"layer 7 +conv 5 x 1 / 2 +4 x 4 x 18 +\+ layer 3", lines[3])
    assert re.fullmatch(r"layer 2 +identity, BN \+ ReLU +4 x 4 x 18 +\+ layer 1", lines[4])
    assert re.fullmatch(r"layer 5 +conv 1 x 7, BN \+ ReLU +4 x 4 x 18 +\+ layer 3", lines[5])
    assert re.fullmatch(r"pool, classifier +10", lines[6])
    assert "0.1" in lines[7]


def test_the_columns_of_the_text_form_never_run_together():
    wide = Genotype(0.1, (convolution(123456, 10**6, (10**6, 10**6), activation=BN_RELU),))
    line = text_of(wide, (2**20, 2**20, 3)).splitlines()[1]
    assert line == "layer 123456 conv 2000001 x 2000001, BN + ReLU 1048576 x 1048576 x 3000000"


def test_a_layer_that_the_architecture_drops_still_has_its_line():
    assert "layer 4" in text_of(Genotype(0.1, (one_to_one(4),)))


@pytest.mark.parametrize("seed", range(10))
def test_the_shapes_of_the_text_form_are_those_of_the_architecture(seed):
    genotype = random_genotype(seed, 40, IMAGE_SHAPE)
    shapes = architecture(genotype, IMAGE_SHAPE).shapes
    lines = text_of(genotype).splitlines()[: len(genotype.layers) + 1]
    written = [re.search(r"(\d+ x \d+ x \d+)", line).group(1) for line in lines]
    computing = [0] + [place for place, layer in enumerate(genotype.layers, 1) if layer in computing_layers(genotype)]
    assert [written[place] for place in computing] == [" x ".join(map(str, shape)) for shape in shapes]


def test_activations_are_written_by_name():
    assert {str(activation) for activation in Activation} == {"linear", "batch_norm_relu"}
