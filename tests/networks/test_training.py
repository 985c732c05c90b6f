"""Steps of SGD and exact counts, against NumPy written out by hand."""

import copy
import dataclasses

import chex
import jax
import numpy as np
import optax
import pytest
from helpers.genotypes import BN_RELU, INITIAL, ONE_CONVOLUTION, convolution, one_to_one, random_genotype
from helpers.numpy_network import forward, random_variables
from helpers.random_images import CLASSES, SHAPE, dataset_of, settings_of

from jaxevo.data import Split
from jaxevo.layers.batch_norm import BatchNorm
from jaxevo.layers.convolution import convolve_on
from jaxevo.networks.batches import draw_batch, normalise, plan_training, put_images
from jaxevo.networks.schedules import learning_rates
from jaxevo.networks.training import (
    carry_shapes,
    cross_entropy_gradient,
    evaluation_batch_size,
    make_evaluate,
    make_train_chunk,
    make_train_step,
    put_evaluation_batches,
    start,
    steps_a_chunk,
)
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

NETWORK = Genotype(
    0.1,
    (convolution(1, 2, (1, 0), activation=BN_RELU), convolution(2, 1, (0, 1), 1), one_to_one(3, BN_RELU)),
    ((0, 2),),
)
"""image (2) -> conv 3 x 1, BN (4) -> conv 1 x 3 / 2 + image -> identity, BN -> pool"""


def network_of(genotype=NETWORK, shape=SHAPE):
    return Phenotype(architecture(genotype, shape), CLASSES)


def variables_of(network, seed=3):
    return random_variables(variable_shapes(network), seed)


def started(variables, settings):
    return start(variables, carry_shapes(variables, settings))


def batch_of(size=8, seed=4, shape=SHAPE):
    generator = np.random.default_rng(seed)
    images = generator.standard_normal((size, *shape)).astype(np.float32)
    return images, generator.integers(0, CLASSES, size).astype(np.int32)


# Steps.


def mean_cross_entropy(genotype, variables, images, labels):
    logits = forward(genotype, variables, images, train=True).logits
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_probabilities[np.arange(len(labels)), labels].mean()


def numerical_gradients(genotype, variables, images, labels, epsilon=1e-6):
    """Returns the gradient of the mean cross-entropy by central differences, one number after the other."""
    moved = copy.deepcopy(variables)
    gradients = {}
    for module, arrays in moved["params"].items():
        gradients[module] = {}
        for name, array in arrays.items():
            gradient = np.zeros(array.shape)
            for index in np.ndindex(array.shape):
                value, losses = array[index], []
                for side in (epsilon, -epsilon):
                    array[index] = value + side
                    losses.append(mean_cross_entropy(genotype, moved, images, labels))
                array[index] = value
                gradient[index] = (losses[0] - losses[1]) / (2 * epsilon)
            gradients[module][name] = gradient
    return gradients


def sgd_by_hand(genotype, variables, batches, rates, settings):
    """Returns params and running statistics after steps of SGD, float64."""
    variables = jax.tree.map(np.float64, variables)
    params = variables["params"]
    speed = jax.tree.map(np.zeros_like, params)
    decay = settings.batch_norm_decay
    for (images, labels), rate in zip(batches, rates, strict=True):
        gradients = numerical_gradients(genotype, variables, images, labels)
        statistics = forward(genotype, variables, images, train=True).statistics.values()
        for running, (mean, variance) in zip(variables["batch_stats"].values(), statistics, strict=True):
            running["mean"] = decay * running["mean"] + (1 - decay) * mean
            running["var"] = decay * running["var"] + (1 - decay) * variance
        for module, arrays in params.items():
            for name in arrays:
                is_filter = name == "kernel" and module != "classifier"
                decayed = settings.weight_decay * arrays[name] if is_filter else 0
                speed[module][name] = settings.momentum * speed[module][name] + gradients[module][name] + decayed
                arrays[name] = arrays[name] - rate * speed[module][name]
    return params, variables["batch_stats"]


@pytest.mark.parametrize(
    "changes",
    [{}, {"weight_decay": 0.3, "momentum": 0.5, "batch_norm_decay": 0.6}],
    ids=["as in the paper", "other settings"],
)
def test_steps_are_sgd_with_momentum_on_the_mean_cross_entropy(changes):
    settings = settings_of(**changes)
    network = Phenotype(architecture(NETWORK, SHAPE), CLASSES, settings.batch_norm_decay)
    variables = variables_of(network)
    batches, rates = [batch_of(seed=seed) for seed in (1, 2, 3)], [0.1, 0.05, 0.2]
    step = jax.jit(make_train_step(network, settings))
    carry = started(variables, settings)
    for batch, rate in zip(batches, rates, strict=True):
        carry = step(carry, batch, np.float32(rate))
    params, batch_stats = sgd_by_hand(NETWORK, variables, batches, rates, settings)
    chex.assert_trees_all_close(jax.device_get(carry.params), params, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(jax.device_get(carry.batch_stats), batch_stats, rtol=1e-3, atol=1e-4)
    assert bool(carry.finite)


def test_the_defaults_are_the_papers():
    defaults = Settings()
    assert (defaults.momentum, defaults.weight_decay, defaults.batch_norm_decay) == (0.9, 1e-4, 0.9)
    assert (defaults.batch_size, defaults.train_steps) == (50, 25_600)


def test_weight_decay_is_on_the_filters_of_convolutions_only():
    network = network_of()
    variables, batch = variables_of(network), batch_of()
    without, with_decay = (
        jax.jit(make_train_step(network, settings))(started(variables, settings), batch, np.float32(1)).params
        for settings in (settings_of(weight_decay=0.0), settings_of(weight_decay=0.125))
    )
    decayed = jax.tree.map(lambda one, other: np.asarray(one - other), without, with_decay)
    for module, arrays in decayed.items():
        for name, difference in arrays.items():
            is_filter = module.startswith("convolution") and name == "kernel"
            expected = 0.125 * variables["params"][module][name] if is_filter else np.zeros(difference.shape)
            np.testing.assert_allclose(difference, expected, atol=1e-6, err_msg=f"{module} {name}")


def test_momentum_starts_from_zero_whatever_the_first_variables_are():
    network, settings = network_of(), settings_of()
    carry = started(variables_of(network), settings)
    momentum = jax.tree.leaves(carry.optimiser)
    assert sorted(array.shape for array in momentum) == sorted(array.shape for array in jax.tree.leaves(carry.params))
    assert not any(np.any(array) for array in momentum)
    chex.assert_trees_all_equal({"params": carry.params, "batch_stats": carry.batch_stats}, variables_of(network))


@pytest.mark.parametrize("genotype", [INITIAL, ONE_CONVOLUTION, NETWORK], ids=["initial", "one", "three"])
def test_a_step_keeps_structure_shapes_and_types(genotype):
    network, settings = network_of(genotype), settings_of()
    carry = started(variables_of(network), settings)
    after = jax.eval_shape(make_train_step(network, settings), carry, batch_of(), np.float32(0.1))
    chex.assert_trees_all_equal_shapes_and_dtypes(after, carry)


@pytest.mark.parametrize("steps", [1, 60, 64, 65, 300, 25_600, 25_601])
def test_chunks_cut_a_training_evenly(steps):
    length = steps_a_chunk(Settings(train_steps=steps))
    assert 1 <= length <= 64
    chunks = -(-steps // length)
    assert chunks * length - steps < chunks, "no chunk is shorter than the others by more than a step"


def test_a_chunk_for_accelerators_agrees_with_step_by_step():
    dataset, settings, network = dataset_of(), settings_of(), network_of()
    images = put_images(dataset, jax.local_devices()[0])
    plan = jax.device_put(plan_training(0, 1, settings, dataset))
    variables, rates = variables_of(network), learning_rates("one_cycle", 0.05, settings.train_steps)
    step, draw = jax.jit(make_train_step(network, settings)), jax.jit(draw_batch)
    chunk = jax.jit(make_train_chunk(make_train_step(network, settings), draw_batch, 5))
    stepped = chunked = jax.device_put(started(variables, settings))
    for number in range(9):
        stepped = step(stepped, draw(images, plan, np.int32(number)), rates[number])
    for first, end in ((0, 4), (4, 4), (4, 9)):
        chunked = chunk(chunked, images, plan, rates, np.int32(first), np.int32(end))
    chex.assert_trees_all_close(jax.device_get(chunked), jax.device_get(stepped), rtol=1e-4, atol=1e-5)
    moved = jax.tree.map(lambda one, other: np.abs(one - other).max(), stepped.params, variables["params"])
    assert min(jax.tree.leaves(moved)) > 1e-3


# Steps of several devices that share a batch; `vmap` with a named axis stands in for them.

PARTS = 4


def parted(batch):
    return tuple(array.reshape(PARTS, -1, *array.shape[1:]) for array in batch)


@pytest.fixture(scope="module")
def shared_step():
    """A step in which each of several devices sees its part of the batch only."""
    network = Phenotype(architecture(NETWORK, SHAPE), CLASSES, axis_name="devices")
    step = make_train_step(network, settings_of(), axis_name="devices")
    return jax.jit(jax.vmap(step, in_axes=(None, 0, None), axis_name="devices"))


def test_devices_that_share_a_batch_all_take_the_step_of_the_whole_batch(shared_step):
    network, settings = network_of(), settings_of()
    images, labels = batch_of()
    # Parts of very different mean and variance: each normalised by its own they would look alike.
    images *= 1 + np.arange(len(images), dtype=np.float32)[:, None, None, None]
    images += labels[:, None, None, None]
    carry, rate = started(variables_of(network), settings), np.float32(0.1)
    alone = jax.device_get(jax.jit(make_train_step(network, settings))(carry, (images, labels), rate))
    shared = jax.device_get(shared_step(carry, parted((images, labels)), rate))
    for device in range(PARTS):
        one = jax.tree.map(lambda array, device=device: array[device], shared)
        chex.assert_trees_all_close(one, alone, rtol=1e-4, atol=1e-5)
        chex.assert_trees_all_equal(one, jax.tree.map(lambda array: array[0], shared))


def test_a_logit_that_is_not_finite_on_one_device_is_noted_on_all(shared_step):
    carry, (images, labels) = started(variables_of(network_of()), settings_of()), batch_of()
    assert shared_step(carry, parted((images, labels)), np.float32(0.1)).finite.all()
    images[5, 0, 0, 0] = np.nan
    assert not shared_step(carry, parted((images, labels)), np.float32(0.1)).finite.any()


LARGE = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("fresh", [(0.0, 0.0, -np.inf), (LARGE, 0.0, -LARGE), (np.nan, 0.0, 0.0), (np.inf, 0.0, 0.0)])
def test_a_loss_that_is_no_finite_number_is_noted(fresh):
    """Logits that the bias alone gives: their gradient may be finite where the loss is not."""
    network, settings = network_of(INITIAL), settings_of()
    images, _ = batch_of()
    labels = np.full(len(images), 2, np.int32)
    variables = jax.tree.map(np.zeros_like, variables_of(network))
    step = jax.jit(make_train_step(network, settings))
    bias = variables["params"]["classifier"]["bias"]
    assert bool(step(started(variables, settings), (images, labels), np.float32(0)).finite)
    bias[:3] = fresh
    loss = optax.softmax_cross_entropy_with_integer_labels(np.tile(bias, (len(labels), 1)), labels).mean()
    assert not np.isfinite(loss)
    assert not bool(step(started(variables, settings), (images, labels), np.float32(0)).finite)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_logit_that_is_no_finite_number_is_noted(bad):
    network, settings = network_of(INITIAL), settings_of()
    step = jax.jit(make_train_step(network, settings))
    images, labels = batch_of()
    images[2, 0, 0, 0] = bad
    carry = started(variables_of(network), settings)
    assert bool(step(carry, batch_of(), np.float32(0.1)).finite)
    assert not bool(step(carry, (images, labels), np.float32(0.1)).finite)


def test_a_filter_that_is_no_finite_number_is_noted():
    """In small batches: in large ones XLA's CPU backend loses it on the way to the logits; there the lane finds it."""
    network, settings = network_of(ONE_CONVOLUTION), settings_of()
    carry = started(spoilt(variables_of(network)), settings)
    assert not bool(jax.jit(make_train_step(network, settings))(carry, batch_of(7), np.float32(0.1)).finite)


def spoilt(variables):
    """Puts a number that is not finite into every filter of the first convolution."""
    variables["params"]["convolution_1"]["kernel"][0, 0, 0] = np.nan
    return variables


@pytest.mark.parametrize("size", [1, 7, 50])
def test_the_gradient_of_the_loss_is_that_of_optax(size):
    generator = np.random.default_rng(6)
    logits = (20 * generator.standard_normal((size, CLASSES))).astype(np.float32)
    labels = generator.integers(0, CLASSES, size).astype(np.int32)
    logits[0, labels[0]] = -200  # Its softmax is 0.

    def mean_loss(logits):
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    expected = jax.grad(mean_loss)(logits)
    assert (expected != 0).any()
    found, as_finite = cross_entropy_gradient(logits, labels)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.isfinite(as_finite)


@pytest.mark.parametrize("seed", range(4))
def test_a_step_is_the_same_however_a_lane_on_cpu_computes_it(seed):
    """By Flax's batch normalisation and XLA's convolutions, or by those that a long training on CPU takes."""
    network = network_of(random_genotype(seed, 25, SHAPE, 100_000))
    quick = network.clone(convolve=convolve_on("cpu", Settings(train_steps=10**6)), batch_norm=BatchNorm)
    carry = started(variables_of(network), settings_of())
    after = [
        jax.jit(make_train_step(one, settings_of()))(carry, batch_of(), np.float32(0.1)) for one in (network, quick)
    ]
    chex.assert_trees_all_close(*jax.device_get(after), rtol=1e-3, atol=1e-4)


def test_a_training_that_was_not_finite_once_stays_so():
    network, settings = network_of(INITIAL), settings_of()
    carry = started(variables_of(network), settings)._replace(finite=np.asarray(False))
    carry = jax.jit(make_train_step(network, settings))(carry, batch_of(), np.float32(0.1))
    chex.assert_tree_all_finite(jax.device_get(carry.params))
    assert not bool(carry.finite)


def test_a_training_that_diverges_ends_not_finite():
    network, settings = network_of(), settings_of()
    step = jax.jit(make_train_step(network, settings))
    carry = started(variables_of(network), settings)
    for seed in range(6):
        carry = step(carry, batch_of(seed=seed), np.float32(1e30))
    assert not bool(carry.finite)


# Evaluation.


def evaluations_of(network, variables, split, size, mean, deviation):
    batches = put_evaluation_batches(split, size, jax.local_devices()[0])
    evaluate = jax.jit(make_evaluate(network))
    evaluations, correct = [], np.int32(0)
    for pixels, labels in batches:
        evaluations.append(evaluate(variables, normalise(pixels, mean, deviation), labels, correct))
        correct = evaluations[-1].correct
    return jax.device_get(evaluations)


@pytest.mark.parametrize("size", [1, 7, 39, 40, 41])
def test_a_split_is_counted_exactly_whatever_the_batch(size):
    dataset, network = dataset_of(), network_of()
    variables, split = variables_of(network), dataset.test
    found = evaluations_of(network, variables, split, size, dataset.mean, dataset.std)
    normalised = (split.images / 255 - dataset.mean) / dataset.std
    expected = forward(NETWORK, variables, normalised).logits.argmax(axis=1)
    predictions = np.concatenate([evaluation.predictions for evaluation in found])[: len(split.labels)]
    np.testing.assert_array_equal(predictions, expected)
    correct = (expected == split.labels).sum()
    assert 0 < correct < len(split.labels)
    assert found[-1].correct == correct
    assert len({evaluation.predictions.shape for evaluation in found}) == 1


@pytest.mark.parametrize("favourite", range(CLASSES))
def test_filler_rows_count_for_nothing_whatever_is_predicted(favourite):
    """A network that always says one class is right as often as that class stands in the split."""
    dataset, network = dataset_of(), network_of(INITIAL)
    variables = jax.tree.map(np.zeros_like, variables_of(network))
    variables["params"]["classifier"]["bias"][favourite] = 1
    found = evaluations_of(network, variables, dataset.test, 33, dataset.mean, dataset.std)
    assert [evaluation.correct for evaluation in found] == [
        (labels == favourite).sum() for labels in (dataset.test.labels[:33], dataset.test.labels)
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_logit_that_is_no_finite_number_spoils_the_count_of_a_split(bad):
    dataset, network = dataset_of(), network_of(INITIAL)
    variables = variables_of(network)
    variables["params"]["classifier"]["bias"][CLASSES - 1] = bad
    found = evaluations_of(network, variables, dataset.test, 33, dataset.mean, dataset.std)
    assert [evaluation.correct for evaluation in found] == [-1, -1]


def overflowing_on_black():
    """Returns a network, and variables with which black images, and no bright ones, give infinite logits."""
    network = network_of(Genotype(0.1, (one_to_one(1, BN_RELU),)))
    variables = jax.tree.map(np.ones_like, variables_of(network))
    (normalisation,) = variables["params"].keys() - {"classifier"}
    variables["params"][normalisation]["scale"][:] = -1e38
    variables["params"]["classifier"]["kernel"][:] = 1e3
    return network, variables


@pytest.mark.parametrize(("black", "finite"), [(False, True), (True, False)])
def test_only_images_of_the_split_are_asked_whether_they_are_finite(black, finite):
    network, variables = overflowing_on_black()
    images = np.full((5, *SHAPE), 255, np.uint8)
    images[4] = 0 if black else 255
    # Bright pixels are 2 after this normalisation, and black ones, as in filler rows, are 0.
    split, mean, deviation = Split(images, np.zeros(5, np.int32)), np.zeros(2), np.full(2, 0.5)
    found = evaluations_of(network, variables, split, 4, mean.astype(np.float32), deviation.astype(np.float32))
    assert [evaluation.correct >= 0 for evaluation in found] == [True, finite]


def test_one_logit_that_is_not_finite_tells_of_the_whole_split():
    network, variables = overflowing_on_black()
    images = np.full((6, *SHAPE), 255, np.uint8)
    images[2] = 0
    split, mean, deviation = Split(images, np.zeros(6, np.int32)), np.zeros(2), np.full(2, 0.5)
    found = evaluations_of(network, variables, split, 2, mean.astype(np.float32), deviation.astype(np.float32))
    assert [int(evaluation.correct) for evaluation in found][1:] == [-1, -1]


def test_an_evaluation_with_filters_that_are_no_finite_numbers_is_not_finite():
    dataset, network = dataset_of(), network_of(ONE_CONVOLUTION)
    variables = spoilt(variables_of(network))
    found = evaluations_of(network, variables, dataset.test, 7, dataset.mean, dataset.std)
    assert {int(evaluation.correct) for evaluation in found} == {-1}


def test_an_evaluation_batch_is_no_larger_than_the_largest_split():
    dataset = dataset_of(40)
    assert (len(dataset.validation.labels), len(dataset.test.labels)) == (4, 40)
    assert evaluation_batch_size(settings_of(evaluation_batch_size=500), dataset) == 40
    assert evaluation_batch_size(settings_of(evaluation_batch_size=30), dataset) == 30
    swapped = dataclasses.replace(dataset, validation=dataset.test, test=dataset.validation)
    assert evaluation_batch_size(settings_of(evaluation_batch_size=500), swapped) == 40
