"""The gradient of batch normalisation that is written out agrees with the one that JAX derives of Flax's module."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxevo.layers.batch_norm import BatchNorm

BATCH, CHANNELS = 12, 5
PARTS = 3


def images_of(dtype=np.float32):
    """Returns channels of very different mean and deviation, and images that differ from each other."""
    generator = np.random.default_rng(3)
    images = generator.standard_normal((BATCH, 6, 4, CHANNELS)) * np.linspace(0.2, 3, CHANNELS)
    return jnp.asarray(images + np.linspace(-2, 2, CHANNELS) + generator.standard_normal((BATCH, 1, 1, 1)), dtype)


def variables_of():
    generator = np.random.default_rng(4)
    scale, bias, mean = generator.standard_normal((3, CHANNELS)).astype(np.float32)
    variance = generator.uniform(0.5, 2, CHANNELS).astype(np.float32)
    return {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": variance}}


def weights_of():
    return np.random.default_rng(5).standard_normal((BATCH, 6, 4, CHANNELS)).astype(np.float32)


def trained(module, variables, images, weights, axis_name=None, dtype=np.float32):
    """Returns the result, the new running statistics, and the gradients of a weighted sum of the result."""
    norm = module(use_running_average=False, momentum=0.8, axis_name=axis_name, dtype=dtype)

    def weighted(params, images):
        result, updates = norm.apply({**variables, "params": params}, images, mutable=["batch_stats"])
        return (result * weights).sum(), (result, updates["batch_stats"])

    gradients, others = jax.grad(weighted, argnums=(0, 1), has_aux=True)(variables["params"], images)
    return others, gradients


def assert_close(ours, theirs, tolerance):
    def close(one, other):
        assert one.dtype == other.dtype
        largest = np.abs(np.asarray(other, np.float32)).max()
        np.testing.assert_allclose(*(np.asarray(array, np.float32) for array in (one, other)), atol=tolerance * largest)

    jax.tree.map(close, ours, theirs)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 2e-5), (jnp.bfloat16, 1e-2)])
def test_values_statistics_and_gradients_are_those_of_flax(dtype, tolerance):
    given = variables_of(), images_of(dtype), weights_of()
    ours, theirs = (trained(module, *given, dtype=dtype) for module in (BatchNorm, nn.BatchNorm))
    assert ours[0][0].dtype == ours[1][1].dtype == dtype
    assert all(np.abs(np.asarray(array, np.float32)).max() > 0.1 for array in jax.tree.leaves(theirs))
    assert_close(ours, theirs, tolerance)


def test_devices_that_share_a_batch_normalise_by_the_whole_of_it():
    variables, images, weights = variables_of(), images_of(), weights_of()
    (whole, statistics), (of_params, of_images) = trained(BatchNorm, variables, images, weights)
    parts = [array.reshape(PARTS, BATCH // PARTS, *array.shape[1:]) for array in (images, weights)]
    (normalised, all_statistics), (all_of_params, all_of_images) = jax.vmap(
        lambda images, weights: trained(BatchNorm, variables, images, weights, "devices"), axis_name="devices"
    )(*parts)
    assert_close(normalised.reshape(whole.shape), whole, 2e-5)
    assert_close(all_of_images.reshape(images.shape), of_images, 2e-5)
    # Every device has the whole batch's statistics, and its own part of the gradients' sums.
    for device in range(PARTS):
        assert_close(jax.tree.map(lambda array, device=device: array[device], all_statistics), statistics, 2e-5)
    assert_close(jax.tree.map(lambda array: array.sum(axis=0), all_of_params), of_params, 2e-5)


def test_a_channel_that_is_constant_has_finite_gradients():
    images = images_of().at[..., 2].set(7.0)
    _, gradients = trained(BatchNorm, variables_of(), images, weights_of())
    assert all(np.isfinite(array).all() for array in jax.tree.leaves(gradients))


def test_by_the_running_statistics_it_is_flaxs_own_to_the_last_bit():
    ours, theirs = (
        module(use_running_average=True).apply(variables_of(), images_of()) for module in (BatchNorm, nn.BatchNorm)
    )
    np.testing.assert_array_equal(ours, theirs)
    made, expected = (
        module(use_running_average=True).init(jax.random.key(0), images_of()) for module in (BatchNorm, nn.BatchNorm)
    )
    jax.tree.map(np.testing.assert_array_equal, made, expected)
