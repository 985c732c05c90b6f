"""Convolutions as matrix products agree with XLA's own, and are chosen by shapes and settings alone."""

import re

import jax
import numpy as np
import pytest
from helpers.genotypes import BN_RELU, convolution
from helpers.numpy_network import forward, random_variables

from jaxevo.layers.convolution import by_parts, by_pixels, by_rows, convolve_on
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

SHORT, LONG = Settings(train_steps=1), Settings(train_steps=2**20)


def native(images, kernel, strides):
    return jax.lax.conv_general_dilated(images, kernel, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def arrays_of(image_shape, kernel_shape, batch=3):
    generator = np.random.default_rng(7)
    images = generator.standard_normal((batch, *image_shape)).astype(np.float32)
    return images, generator.standard_normal(kernel_shape).astype(np.float32)


def assert_agrees(convolve, image_shape, kernel_shape, strides):
    """Compares values and both gradients."""
    images, kernel = arrays_of(image_shape, kernel_shape)
    weights = np.random.default_rng(8).standard_normal(native(images, kernel, strides).shape).astype(np.float32)

    def value_and_gradients(convolve):
        value = convolve(images, kernel, strides)
        return value, jax.grad(lambda both: (convolve(*both, strides) * weights).sum())((images, kernel))

    ours, xlas = jax.jit(lambda: (value_and_gradients(convolve), value_and_gradients(native)))()
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4), ours, xlas)


@pytest.mark.parametrize(
    ("filter_shape", "strides"),
    [
        ((1, 3), (1, 1)),
        ((3, 1), (2, 2)),
        ((3, 3), (1, 1)),
        ((3, 3), (2, 2)),
        ((5, 3), (4, 4)),
        ((7, 7), (8, 8)),
        ((9, 5), (1, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (7, 5, 2), (1, 6, 3)], ids=str)
def test_a_banded_matrix_convolves_as_xla_does(image_shape, filter_shape, strides):
    assert_agrees(by_rows, image_shape, (*filter_shape, image_shape[2], 4), strides)


@pytest.mark.parametrize("strides", [(1, 1), (4, 4), (1, 2)], ids=str)
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (7, 5, 2)], ids=str)
def test_a_filter_of_one_pixel_convolves_as_xla_does(image_shape, strides):
    assert_agrees(by_pixels, image_shape, (1, 1, image_shape[2], 4), strides)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("part", [2, 3, 6])
def test_a_gradient_by_parts_of_the_batch_is_xlas(part, strides):
    images, kernel = arrays_of((9, 8, 5), (3, 5, 5, 4), batch=6)
    weights = np.random.default_rng(8).standard_normal(native(images, kernel, strides).shape).astype(np.float32)

    def gradients(convolve):
        return jax.jit(jax.grad(lambda *both: (convolve(*both, strides) * weights).sum(), (0, 1)))(images, kernel)

    np.testing.assert_array_equal(by_parts(images, kernel, strides, part), native(images, kernel, strides))
    ours, xlas = gradients(lambda *both: by_parts(*both, part)), gradients(native)
    np.testing.assert_array_equal(ours[0], xlas[0])
    np.testing.assert_allclose(ours[1], xlas[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("filter_shape", [(3, 3), (5, 3), (1, 3)], ids=str)
@pytest.mark.parametrize("image_shape", [(8, 6, 5), (2, 2, 16), (8, 7, 5), (7, 8, 5), (8, 6, 17)], ids=str)
def test_gradients_under_strides_of_two_are_xlas(image_shape, filter_shape):
    def three_parts(images, kernel, strides):
        return by_parts(images, kernel, strides, 1)

    for strides in ((2, 2), (1, 2)):
        assert_agrees(three_parts, image_shape, (*filter_shape, image_shape[2], 7), strides)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)], ids=str)
@pytest.mark.parametrize(("channels", "out_channels"), [(1, 16), (2, 9), (3, 6), (3, 31), (3, 32)])
def test_few_channels_filled_with_zeros_convolve_as_xla_does(channels, out_channels, strides):
    def three_parts(images, kernel, strides):
        return by_parts(images, kernel, strides, 1)

    assert_agrees(three_parts, (9, 8, channels), (3, 5, channels, out_channels), strides)


@pytest.mark.parametrize(
    ("shape", "channels", "out_channels", "filled"),
    [
        ((28, 28), 1, 16, "3x3x1x32"),
        ((32, 32), 3, 8, "3x3x4x32"),
        ((28, 28), 2, 24, "3x3x2x32"),
        # Already of these channels, few pixels, few products, many channels.
        ((28, 28), 1, 32, "3x3x1x32"),
        ((32, 32), 3, 40, "3x3x3x40"),
        ((13, 13), 3, 32, "3x3x3x32"),
        ((28, 28), 1, 15, None),
        ((28, 28), 4, 16, "3x3x4x16"),
    ],
)
def test_few_channels_of_large_images_are_filled(shape, channels, out_channels, filled):
    images = jax.ShapeDtypeStruct((50, *shape, channels), np.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, channels, out_channels), np.float32)
    numbers = ("NHWC", "HWIO", "NHWC")
    convolve = convolve_on("cpu", LONG)
    lowered = jax.jit(lambda *both: convolve(*both, (1, 1), "SAME", dimension_numbers=numbers)).lower(images, kernel)
    [used] = re.findall(r"stablehlo\.convolution.*, tensor<([0-9x]+)xf32>\)", lowered.as_text()) or [None]
    assert used == filled


@pytest.mark.parametrize(
    ("batch", "shape", "channels", "parts"),
    [
        (50, (28, 28), 16, 5),
        (64, (14, 14), 32, 8),
        (48, (32, 32), 16, 4),
        # Few pixels, few products, a batch without a divisor of use, and a batch that is one part.
        (50, (7, 7), 64, 1),
        (50, (28, 28), 8, 1),
        (53, (28, 28), 16, 1),
        (12, (28, 28), 16, 1),
    ],
)
def test_large_convolutions_of_long_trainings_on_cpu_have_it(batch, shape, channels, parts):
    images = jax.ShapeDtypeStruct((batch, *shape, channels), np.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, channels, channels), np.float32)
    numbers = ("NHWC", "HWIO", "NHWC")
    for settings, expected in ((LONG, parts), (SHORT, 1)):
        convolve = convolve_on("cpu", settings)

        def loss(images, kernel, convolve=convolve):
            return convolve(images, kernel, (1, 1), "SAME", dimension_numbers=numbers).sum()

        lowered = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(images, kernel).as_text()
        # Forward, and the gradients of images and kernel.
        assert lowered.count("stablehlo.convolution") == 2 + expected


def convolutions_in(platform, settings, image_shape, kernel_shape, dtype=np.float32, strides=(1, 1)):
    """Returns how many of XLA's own convolutions a lowered convolution has."""
    images, kernel = (jax.ShapeDtypeStruct(shape, dtype) for shape in ((50, *image_shape), kernel_shape))
    convolve = convolve_on(platform, settings)
    numbers = ("NHWC", "HWIO", "NHWC")
    lowered = jax.jit(lambda *both: convolve(*both, strides, "SAME", dimension_numbers=numbers)).lower(images, kernel)
    return lowered.as_text().count("stablehlo.convolution")


SMALL = (28, 28, 2), (3, 3, 2, 2)


def test_small_convolutions_of_long_trainings_on_cpu_are_matrix_products():
    assert convolutions_in("cpu", LONG, *SMALL) == 0
    assert convolutions_in("cpu", LONG, (28, 28, 64), (1, 1, 64, 128)) == 0


@pytest.mark.parametrize(
    ("platform", "settings", "shapes", "dtype"),
    [
        ("gpu", LONG, SMALL, np.float32),
        ("tpu", LONG, SMALL, np.float32),
        ("cpu", SHORT, SMALL, np.float32),
        ("cpu", LONG, SMALL, jax.numpy.bfloat16),
        # Wide, and a filter that covers one column: the band would be mostly zeros.
        ("cpu", LONG, ((28, 28, 16), (3, 3, 16, 16)), np.float32),
        ("cpu", LONG, ((28, 28, 2), (3, 1, 2, 2)), np.float32),
    ],
)
def test_all_others_are_xlas_own(platform, settings, shapes, dtype):
    assert convolutions_in(platform, settings, *shapes, dtype) == 1


@pytest.mark.parametrize(
    ("kernel_shape", "strides", "padding", "others"),
    [
        ((3, 3, 1, 4), (1, 1), "SAME", {"feature_group_count": 4}),
        ((3, 3, 2, 6), (2, 2), "SAME", {"feature_group_count": 2}),
        ((1, 1, 1, 4), (1, 1), "SAME", {"feature_group_count": 4}),
        ((3, 3, 4, 2), (1, 1), "SAME", {"batch_group_count": 2}),
        ((3, 3, 4, 1), (1, 1), "SAME", {"rhs_dilation": (2, 2)}),
        ((3, 3, 4, 1), (1, 1), "SAME", {"rhs_dilation": (1, 2)}),
        ((1, 1, 4, 1), (1, 1), [(1, 2), (1, 2)], {"lhs_dilation": (2, 1)}),
        ((3, 3, 4, 1), (1, 1), "VALID", {}),
        ((1, 1, 4, 1), (1, 1), [(1, 1), (0, 2)], {}),
        ((3, 3, 4, 1), (2, 2), "SAME_LOWER", {}),
        ((3, 3, 4, 1), (1, 1), [(1, 1), (1, 1)], {}),
        ((3, 3, 4, 1), (1, 1), "SAME", {"precision": "highest"}),
        ((3, 3, 4, 1), (1, 1), "SAME", {"preferred_element_type": np.float32}),
    ],
    ids=str,
)
def test_all_but_plain_convolutions_are_xlas_own(kernel_shape, strides, padding, others):
    arrays = arrays_of((7, 6, 4), kernel_shape, batch=4)
    arguments = {"window_strides": strides, "padding": padding, **others}
    convolve = convolve_on("cpu", LONG)
    numbers = ("NHWC", "HWIO", "NHWC")

    def ours(*both):
        return convolve(*both, strides, padding, dimension_numbers=numbers, **others)

    assert jax.jit(ours).lower(*arrays).as_text().count("stablehlo.convolution") == 1
    expected = jax.lax.conv_general_dilated(*arrays, dimension_numbers=numbers, **arguments)
    np.testing.assert_array_equal(ours(*arrays), expected)


def test_images_with_their_channels_first_are_xlas_to_convolve():
    images, kernel = arrays_of((7, 6, 4), (3, 3, 6, 2))
    numbers = ("NCHW", "HWIO", "NCHW")
    found = convolve_on("cpu", LONG)(images.transpose(0, 2, 1, 3), kernel, (1, 1), "SAME", dimension_numbers=numbers)
    expected = jax.lax.conv_general_dilated(
        images.transpose(0, 2, 1, 3), kernel, (1, 1), "SAME", dimension_numbers=numbers
    )
    np.testing.assert_array_equal(found, expected)


def test_arguments_that_change_nothing_leave_a_convolution_plain():
    """As Flax calls it."""
    others = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "feature_group_count": 1, "batch_group_count": 1}
    numbers = ("NHWC", "HWIO", "NHWC")
    images, kernel = arrays_of((7, 6, 2), (3, 3, 2, 2))
    convolve = convolve_on("cpu", LONG)
    lowered = jax.jit(
        lambda *both: convolve(*both, (1, 1), "SAME", dimension_numbers=numbers, precision=None, **others)
    ).lower(images, kernel)
    assert "stablehlo.convolution" not in lowered.as_text()


@pytest.mark.parametrize(("steps", "native_ones"), [(26, 1), (27, 0)])
def test_a_training_is_long_from_a_million_output_positions_on(steps, native_ones):
    """28 * 28 positions of 50 images are 39,200 a step."""
    assert convolutions_in("cpu", Settings(train_steps=steps, batch_size=50), *SMALL) == native_ones
    assert convolutions_in("cpu", Settings(train_steps=steps, batch_size=25), *SMALL) == 1
    # A stride leaves fewer positions.
    assert convolutions_in("cpu", Settings(train_steps=steps, batch_size=50), *SMALL, strides=(2, 2)) == 1


def test_a_network_computes_the_same_however_it_convolves():
    shape = (9, 8, 1)
    layers = (convolution(1, 2, (1, 2), activation=BN_RELU), convolution(2, 2, (0, 0)), convolution(3, 1, (1, 1), 1))
    genotype = Genotype(0.1, layers, ((0, 2),))
    network = Phenotype(architecture(genotype, shape), 10, convolve=convolve_on("cpu", LONG))
    variables = random_variables(variable_shapes(network), seed=1)
    images, _ = arrays_of(shape, (1, 1, 1, 1))
    apply = jax.jit(lambda variables, images: network.apply(variables, images, train=False))
    assert "stablehlo.convolution" not in apply.lower(variables, images).as_text()
    np.testing.assert_allclose(
        apply(variables, images), forward(genotype, variables, images).logits, rtol=1e-3, atol=1e-4
    )
