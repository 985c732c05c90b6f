"""What an individual costs, against numbers counted by hand and against counting one tap at a time."""

import dataclasses
import itertools
from fractions import Fraction

import pytest
from helpers.genotypes import (
    BN_RELU,
    EXAMPLES,
    INITIAL,
    LINEAR,
    RICH,
    THREE_CONVOLUTIONS,
    convolution,
    one_to_one,
    with_skips,
)

from jaxevo.search.births import individual_flops
from jaxevo.search.space import Cost
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype

examples = pytest.mark.parametrize("genotype", EXAMPLES.values(), ids=EXAMPLES.keys())


def cost_of(layers, image_shape, num_classes=10, batch_size=50, skips=()):
    genotype = Genotype(0.1, tuple(layers), tuple(skips))
    return cost(architecture(genotype, image_shape), num_classes, batch_size)


def taps(size, filter_size, stride):
    """Counts, one at a time, the taps of a SAME-padded axis that fall on the image."""
    outputs = -(-size // stride)
    padding = max((outputs - 1) * stride + filter_size - size, 0)
    places = (output * stride - padding // 2 + tap for output in range(outputs) for tap in range(filter_size))
    return sum(0 <= place < size for place in places)


# By hand.


def test_an_initial_individual_is_a_linear_classifier():
    found = cost_of([], (8, 8, 3))
    assert found.parameters == 3 * 10 + 10
    assert found.forward_matrix_flops == 2 * 3 * 10
    # The image depends on no parameter: only the classifier's weights have a gradient.
    assert found.backward_matrix_flops == 2 * 3 * 10


def test_a_3x3_filter_on_8x8_counts_22_of_24_taps_an_axis():
    found = cost_of([convolution(1, 4)], (8, 8, 1))
    convolution_flops = found.forward_matrix_flops - 2 * 4 * 10
    assert convolution_flops == 2 * 22 * 22 * 4
    assert convolution_flops / (2 * 8 * 8 * 3 * 3 * 4) == pytest.approx(0.84, abs=0.001)


def test_parameters_are_filters_batch_norms_and_the_classifier():
    layers = [
        convolution(1, 4, activation=BN_RELU),
        convolution(2, Fraction(1, 2), (0, 2)),
        one_to_one(3, BN_RELU),
    ]
    # 3 x 3 from 3 to 12 channels with scale and offset; 1 x 5 from 12 to 6; scale and offset; classifier.
    expected = (9 * 3 * 12 + 2 * 12) + 5 * 12 * 6 + 2 * 6 + (6 * 10 + 10)
    assert cost_of(layers, (8, 8, 3)).parameters == expected


def test_linear_identities_and_skips_have_no_parameters():
    skips = [(0, 2), (0, 3), (1, 3)]
    skipped = with_skips(THREE_CONVOLUTIONS, skips)
    longer = dataclasses.replace(skipped, layers=(*skipped.layers, one_to_one(4)))
    found = [
        cost(architecture(genotype, (8, 8, 3)), 10, 50).parameters for genotype in (THREE_CONVOLUTIONS, skipped, longer)
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("size", "log2_stride", "expected"),
    [
        pytest.param(8, 0, 22, id="2 3 3 3 3 3 3 2"),
        pytest.param(8, 1, 11, id="3 3 3 2: the padding is behind"),
        pytest.param(7, 1, 10, id="2 3 3 2: padding at both ends"),
        pytest.param(8, 2, 6, id="3 3: no padding"),
        pytest.param(5, 3, 3, id="3: one output"),
        pytest.param(1, 0, 1, id="1: the filter is larger than the image"),
    ],
)
def test_strided_convolutions_count_taps_inside_the_image(size, log2_stride, expected):
    found = cost_of([convolution(1, 1, (1, 1), log2_stride)], (size, size, 1))
    assert found.forward_matrix_flops - 2 * 10 == 2 * expected**2


@pytest.mark.parametrize("half", [(0, 0), (1, 1), (0, 3), (2, 1), (9, 4)])
@pytest.mark.parametrize("log2_stride", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (7, 12, 3), (1, 5, 2)])
def test_convolutions_cost_what_counting_one_tap_at_a_time_gives(image_shape, log2_stride, half):
    found = cost_of([convolution(1, 3, half, log2_stride)], image_shape)
    height, width, channels = image_shape
    rows = taps(height, 2 * half[0] + 1, 2**log2_stride)
    columns = taps(width, 2 * half[1] + 1, 2**log2_stride)
    assert found.forward_matrix_flops == 2 * rows * columns * channels * 3 * channels + 2 * 3 * channels * 10


def test_the_first_convolution_has_no_input_gradient_and_the_second_has_one():
    first = 2 * 22 * 22 * 1 * 2
    second = 2 * 22 * 22 * 2 * 6
    classifier = 2 * 6 * 10
    found = cost_of([convolution(1, 2), convolution(2, 3)], (8, 8, 1))
    assert found.forward_matrix_flops == first + second + classifier
    assert found.backward_matrix_flops == first + 2 * second + 2 * classifier


def test_a_convolution_after_parameters_has_an_input_gradient():
    first = 2 * 22 * 22
    classifier = 2 * 10
    found = cost_of([one_to_one(1, BN_RELU), convolution(2)], (8, 8, 1))
    assert found.backward_matrix_flops == 2 * first + 2 * classifier


def test_a_convolution_after_sums_of_the_image_alone_has_no_input_gradient():
    # image -> 1: identity -> 2: identity, skip 0 -> 2 -> 3: conv.
    found = cost_of([one_to_one(1), one_to_one(2), convolution(3)], (8, 8, 1), skips=[(0, 2)])
    assert found.backward_matrix_flops == 2 * 22 * 22 + 2 * 2 * 10


def test_a_skip_costs_an_addition_for_each_element_of_its_target():
    plain = [convolution(1, 2), convolution(2, 3, (1, 1), 1), one_to_one(3, BN_RELU)]
    without, with_one = (cost_of(plain, (8, 8, 1), skips=skips) for skips in ([], [(0, 2)]))
    assert with_one.forward_flops - without.forward_flops == 4 * 4 * 6
    assert with_one.forward_matrix_flops == without.forward_matrix_flops


def test_every_skip_is_counted():
    plain = [convolution(1), convolution(2), convolution(3)]
    found = [
        cost_of(plain, (8, 8, 1), skips=skips).forward_flops
        for skips in ([], [(0, 2)], [(0, 2), (0, 3)], [(0, 2), (0, 3), (1, 3)])
    ]
    assert [more - less for less, more in itertools.pairwise(found)] == [64, 64, 64]


def test_a_skip_from_the_image_passes_no_gradient_back():
    plain = [convolution(1), convolution(2), convolution(3)]
    without, from_image, from_layer = (
        cost_of(plain, (8, 8, 1), skips=skips).backward_flops for skips in ([], [(0, 3)], [(1, 3)])
    )
    assert from_image == without < from_layer


def test_batch_norm_and_relu_cost_something_for_each_element():
    plain, normalised = (
        cost_of([convolution(1, 2, activation=activation)], (8, 8, 1)) for activation in (LINEAR, BN_RELU)
    )
    assert normalised.forward_flops - plain.forward_flops >= 8 * 8 * 2
    assert normalised.forward_matrix_flops == plain.forward_matrix_flops


def test_more_classes_enlarge_the_classifier_alone():
    few, many = (cost_of([convolution(1, 4)], (8, 8, 1), num_classes=classes) for classes in (10, 100))
    assert many.parameters - few.parameters == 90 * (4 + 1)
    assert many.forward_matrix_flops - few.forward_matrix_flops == 2 * 4 * 90


# Memory.


@examples
def test_memory_grows_with_the_batch(genotype):
    found = architecture(genotype, (8, 8, 3))
    memory = [cost(found, 10, batch_size).memory for batch_size in (1, 2, 50, 500)]
    assert memory == sorted(set(memory))


@examples
def test_only_memory_depends_on_the_batch(genotype):
    found = architecture(genotype, (8, 8, 3))
    small, large = (cost(found, 10, batch_size) for batch_size in (1, 500))
    assert dataclasses.replace(small, memory=large.memory) == large


@examples
def test_memory_holds_parameters_with_gradients_and_momentum_and_a_batch_of_images(genotype):
    found = cost(architecture(genotype, (8, 8, 3)), 10, 50)
    assert found.memory >= 4 * (3 * found.parameters + 50 * 8 * 8 * 3)


def test_memory_grows_with_depth_and_with_width():
    one = cost_of([convolution(1)], (8, 8, 3)).memory
    assert cost_of([convolution(1), convolution(2)], (8, 8, 3)).memory > one
    assert cost_of([convolution(1, 2)], (8, 8, 3)).memory > one


# A whole individual.


def test_an_individual_costs_its_training_steps_and_its_validation():
    found = Cost(
        parameters=1,
        forward_flops=100,
        backward_flops=230,
        forward_matrix_flops=1,
        backward_matrix_flops=1,
        memory=1,
    )
    assert individual_flops(found, train_steps=7, batch_size=5, validation_images=30) == 330 * 5 * 7 + 100 * 30


@examples
def test_costs_are_whole_numbers(genotype):
    *numbers, seconds = dataclasses.astuple(cost(architecture(genotype, (8, 8, 3)), 10, 50))
    assert all(type(value) is int for value in numbers)
    assert seconds is None


def test_the_example_with_everything_costs_what_adding_up_by_hand_gives():
    # 8 x 8 x 3 -> 3x3 to 12, BN -> identity + skip -> 5x1 / 2 to 18 + skip -> BN + skip -> 1x7, BN + skip.
    first = 2 * taps(8, 3, 1) ** 2 * 3 * 12
    second = 2 * taps(8, 5, 2) * taps(8, 1, 2) * 12 * 18
    third = 2 * taps(4, 1, 1) * taps(4, 7, 1) * 18 * 18
    classifier = 2 * 18 * 10
    found = cost(architecture(RICH, (8, 8, 3)), 10, 50)
    assert found.parameters == (27 * 12 + 24) + 5 * 12 * 18 + 36 + (7 * 18 * 18 + 36) + (180 + 10)
    assert found.forward_matrix_flops == first + second + third + classifier
    assert found.backward_matrix_flops == first + 2 * (second + third + classifier)


def test_the_learning_rate_costs_nothing():
    assert cost(architecture(INITIAL, (8, 8, 3)), 10, 50) == cost(architecture(Genotype(0.7), (8, 8, 3)), 10, 50)
