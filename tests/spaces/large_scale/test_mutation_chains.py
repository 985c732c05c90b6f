"""Properties that hold whatever long chain of mutations made a genotype."""

import dataclasses
import json

import numpy as np
from helpers.births import task_of
from helpers.genotypes import INITIAL, one_to_one
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxevo.reports.drawing import drawing_text
from jaxevo.search.evolution import mutants
from jaxevo.spaces.large_scale.architecture import architecture, computing_layers
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.drawing import draw
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, genotype_from_json
from jaxevo.spaces.large_scale.layer_types import Convolution
from jaxevo.spaces.large_scale.layer_types.convolution import PlacedConvolution
from jaxevo.spaces.large_scale.mutation import MUTATIONS

IMAGE_SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (5, 9, 2), (1, 1, 1)]


def chain(seed, mutations, image_shape):
    """Returns the genotypes of a chain of mutations, the initial one first."""
    generator = np.random.default_rng(seed)
    genotypes = [INITIAL]
    for _ in range(mutations):
        genotypes.append(next(mutants(generator, genotypes[-1], MUTATIONS, task_of(image_shape)))[1])
    return genotypes


seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(0, 150)
image_shapes = st.sampled_from(IMAGE_SHAPES)
over_chains = settings(derandomize=True, deadline=None, max_examples=150, database=None)


def assert_valid(genotype, channels):
    """Fails if a rule of the design does not hold, each checked here anew."""
    points = [0, *(layer.id for layer in genotype.layers)]
    assert len(set(points)) == len(points)
    assert genotype.learning_rate > 0 and np.isfinite(genotype.learning_rate)
    pairs = [(points.index(source), points.index(target)) for source, target in genotype.skips]
    assert all(target - source >= 2 for source, target in pairs)
    assert len(set(pairs)) == len(pairs)
    for layer in genotype.layers:
        if isinstance(layer.operation, Convolution):
            assert layer.operation.channel_factor > 0
            assert min(layer.operation.half_height, layer.operation.half_width) >= 0
            assert layer.operation.log2_stride >= 0
    assert min(genotype.channels(channels)) >= 1


@over_chains
@given(seeds, lengths, image_shapes)
def test_every_link_of_a_chain_is_valid(seed, length, image_shape):
    for genotype in chain(seed, length, image_shape):
        assert_valid(genotype, image_shape[2])


@over_chains
@given(seeds, lengths, image_shapes)
def test_every_link_of_a_chain_survives_json_exactly(seed, length, image_shape):
    for genotype in chain(seed, length, image_shape)[::5]:
        text = json.dumps(genotype.to_json())
        read = genotype_from_json(json.loads(text))
        assert read == genotype
        assert json.dumps(read.to_json()) == text


def renumbered(genotype, new_ids):
    """Returns the genotype with other layer ids, in the order of the layers."""
    by_old = dict(zip(genotype.points, (0, *new_ids), strict=True))
    layers = tuple(dataclasses.replace(layer, id=by_old[layer.id]) for layer in genotype.layers)
    skips = tuple((by_old[source], by_old[target]) for source, target in genotype.skips)
    return Genotype(genotype.learning_rate, layers, skips)


@over_chains
@given(seeds, lengths, image_shapes, st.randoms(use_true_random=False))
def test_an_architecture_is_independent_of_ids_in_any_order(seed, length, image_shape, random):
    genotype = chain(seed, length, image_shape)[-1]
    new_ids = random.sample(range(1, 10_000), len(genotype.layers))
    assert architecture(renumbered(genotype, new_ids), image_shape) == architecture(genotype, image_shape)


@over_chains
@given(seeds, lengths, image_shapes, st.integers(1, 1000))
def test_an_architecture_is_independent_of_ids_in_the_same_order(seed, length, image_shape, spacing):
    genotype = chain(seed, length, image_shape)[-1]
    ranks = {point: rank for rank, point in enumerate(sorted(genotype.points))}
    new_ids = [spacing * ranks[layer.id] for layer in genotype.layers]
    assert architecture(renumbered(genotype, new_ids), image_shape) == architecture(genotype, image_shape)


@over_chains
@given(seeds, lengths, image_shapes)
def test_skips_of_an_architecture_lead_from_an_earlier_to_a_later_point(seed, length, image_shape):
    for genotype in chain(seed, length, image_shape):
        found = architecture(genotype, image_shape)
        assert len(found.skips) == len(genotype.skips)
        assert all(0 <= source < target <= len(found.layers) for source, target in found.skips)


@over_chains
@given(seeds, lengths, image_shapes)
def test_an_architecture_keeps_every_layer_that_computes_and_no_other(seed, length, image_shape):
    genotype = chain(seed, length, image_shape)[-1]
    found = architecture(genotype, image_shape)
    entered = {target for _, target in found.skips}
    assert len(found.layers) == len(computing_layers(genotype)) == len(found.shapes) - 1
    for position, layer in enumerate(found.layers, start=1):
        convolves = isinstance(layer.operation, PlacedConvolution)
        assert convolves or layer.activation is Activation.BATCH_NORM_RELU or position in entered
    assert min(min(shape) for shape in found.shapes) >= 1


def windows(size, log2_stride):
    """Returns where along an axis SAME-padded filters are centred, which is all that a stride decides."""
    if size <= 2 ** min(log2_stride, 64):
        return (1, None)
    return (-(-size // 2**log2_stride), 2**log2_stride)


class Computation:
    """Names what points compute: equal names for equal operations on equal inputs."""

    def __init__(self):
        self.names = {}

    def name(self, *what):
        return self.names.setdefault(what, len(self.names))

    def of_genotype(self, genotype, image_shape):
        """Goes through the genotype as the paper defines it: operation, plus skips, then activation."""
        height, width, _ = image_shape
        all_channels = genotype.channels(image_shape[2])
        values = {0: self.name("image")}
        previous = 0
        for layer, channels in zip(genotype.layers, all_channels[1:], strict=True):
            value = values[previous]
            if isinstance(layer.operation, Convolution):
                rows, columns = (windows(size, layer.operation.log2_stride) for size in (height, width))
                height, width = rows[0], columns[0]
                value = self.name("convolution", layer.operation.filter_shape, rows, columns, channels, value)
            entering = sorted(values[source] for source, target in genotype.skips if target == layer.id)
            values[layer.id] = self.completed(value, entering, layer.activation)
            previous = layer.id
        return values[previous]

    def of_architecture(self, found):
        values = [self.name("image")]
        for position, layer in enumerate(found.layers, start=1):
            value = values[-1]
            operation = layer.operation
            if isinstance(operation, PlacedConvolution):
                log2_stride = operation.stride.bit_length() - 1
                rows, columns = (windows(size, log2_stride) for size in found.shapes[position - 1][:2])
                value = self.name("convolution", operation.filter_shape, rows, columns, operation.shape[2], value)
            entering = sorted(values[source] for source, target in found.skips if target == position)
            values.append(self.completed(value, entering, layer.activation))
        return values[-1]

    def completed(self, value, entering, activation):
        if entering:
            value = self.name("sum", value, *entering)
        if activation is Activation.BATCH_NORM_RELU:
            value = self.name("batch norm, relu", value)
        return value


@over_chains
@given(seeds, lengths, image_shapes)
def test_an_architecture_computes_what_its_genotype_does(seed, length, image_shape):
    computation = Computation()
    for genotype in chain(seed, length, image_shape)[::3]:
        by_genotype = computation.of_genotype(genotype, image_shape)
        assert computation.of_architecture(architecture(genotype, image_shape)) == by_genotype


@over_chains
@given(seeds, lengths, image_shapes, st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_linear_identities_anywhere_leave_the_architecture_as_it_is(seed, length, image_shape, places):
    genotype = longer = chain(seed, length, image_shape)[-1]
    for place in places:
        place = round(place * len(longer.layers))
        layers = (*longer.layers[:place], one_to_one(longer.fresh_id), *longer.layers[place:])
        longer = dataclasses.replace(longer, layers=layers)
    assert architecture(longer, image_shape) == architecture(genotype, image_shape)


@over_chains
@given(seeds, lengths, image_shapes)
def test_every_link_of_a_chain_costs_something(seed, length, image_shape):
    for genotype in chain(seed, length, image_shape)[::5]:
        found = cost(architecture(genotype, image_shape), num_classes=10, batch_size=50)
        assert min(dataclasses.astuple(found)[:-1]) > 0
        assert found.forward_matrix_flops <= found.forward_flops
        assert found.backward_matrix_flops <= found.backward_flops


@over_chains
@given(seeds, lengths, image_shapes)
def test_every_link_of_a_chain_has_a_text_of_one_line_a_layer(seed, length, image_shape):
    genotype = chain(seed, length, image_shape)[-1]
    assert len(drawing_text(draw(genotype, task_of(image_shape))).splitlines()) == len(genotype.layers) + 3


@over_chains
@given(seeds, lengths, image_shapes)
def test_a_mutation_applies_exactly_where_there_is_something_to_change(seed, length, image_shape):
    genotype = chain(seed, length, image_shape)[-1]
    convolutions = any(isinstance(layer.operation, Convolution) for layer in genotype.layers)
    pairs_apart = (len(genotype.points) - 1) * (len(genotype.points) - 2) // 2
    applies = dict.fromkeys((mutation.name for mutation in MUTATIONS), True)
    applies |= dict.fromkeys(
        ("REMOVE-CONVOLUTION", "ALTER-STRIDE", "ALTER-NUMBER-OF-CHANNELS", "FILTER-SIZE"), convolutions
    )
    applies |= {"ADD-SKIP": len(genotype.skips) < pairs_apart, "REMOVE-SKIP": bool(genotype.skips)}
    for mutation in MUTATIONS:
        child = mutation.apply(np.random.default_rng(seed), genotype, task_of(image_shape))
        assert (child is not None) == applies[mutation.name], mutation.name
