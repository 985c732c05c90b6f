"""Networks that compute in bfloat16, with everything that is kept, and the logits, in float32."""

import chex
import jax
import numpy as np
import pytest
from helpers.births import task_of
from helpers.genotypes import BN_RELU, EXAMPLES, RICH, convolution, one_to_one
from helpers.numpy_network import random_variables
from helpers.tiny_runs import resume, start

import jaxevo
from jaxevo.networks.training import Carry, carry_shapes, make_evaluate, make_train_chunk, make_train_step
from jaxevo.networks.training import start as first_carry
from jaxevo.reports.result import write_result
from jaxevo.reports.verify import verify_run
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes
from jaxevo.spaces.large_scale.networks import LargeScaleNetworks

CLASSES, SHAPE, BATCH = 4, (8, 8, 3), 6
EVENTS = 16
SKIPPING = Genotype(
    0.1, (convolution(1, 4, (1, 1), 1, BN_RELU), convolution(2, 2), one_to_one(3, BN_RELU)), ((0, 2), (1, 3))
)
over_examples = pytest.mark.parametrize("genotype", EXAMPLES.values(), ids=EXAMPLES.keys())


def network_of(genotype, compute_dtype="bfloat16"):
    return Phenotype(architecture(genotype, SHAPE), CLASSES, compute_dtype=compute_dtype)


def batch_of(size=BATCH):
    generator = np.random.default_rng(4)
    images = generator.standard_normal((size, *SHAPE)).astype(np.float32)
    return images, generator.integers(0, CLASSES, size).astype(np.int32)


def carry_of(network):
    shapes = variable_shapes(network)
    return first_carry(random_variables(shapes, 3), carry_shapes(shapes, Settings()))


def lowered(genotype, compute_dtype):
    """Returns the text of the programs that train and evaluate a network."""
    network = network_of(genotype, compute_dtype)
    step = jax.jit(make_train_step(network, Settings()))
    evaluation = variable_shapes(network), *batch_of(), np.int32(0)
    return (
        step.lower(carry_of(network), batch_of(), np.float32(0.1)).as_text(),
        jax.jit(make_evaluate(network)).lower(*evaluation).as_text(),
    )


# A network.


def test_a_network_computes_in_what_the_settings_say():
    compiled, task, networks = architecture(RICH, SHAPE), task_of(SHAPE, CLASSES), LargeScaleNetworks()
    assert networks.module(compiled, task, Settings()).compute_dtype == "float32"
    settings = Settings(compute_dtype="bfloat16", batch_norm_decay=0.5)
    assert networks.module(compiled, task, settings) == Phenotype(compiled, CLASSES, 0.5, None, "bfloat16")


@over_examples
def test_all_that_a_training_keeps_is_float32(genotype):
    carry = carry_of(network_of(genotype))
    after: Carry = jax.eval_shape(make_train_step(network_of(genotype), Settings()), carry, batch_of(), np.float32(0.1))
    chex.assert_trees_all_equal_shapes_and_dtypes(after, carry)
    kept = jax.tree.leaves((after.params, after.batch_stats, after.optimiser))
    assert {array.dtype for array in kept} == {np.dtype(np.float32)}


@over_examples
def test_logits_are_float32_and_close_to_those_of_float32(genotype):
    variables, (images, _) = random_variables(variable_shapes(network_of(genotype)), 3), batch_of()
    for train in (False, True):
        narrow, wide = (
            jax.jit(network_of(genotype, dtype).apply, static_argnames=("train", "mutable"))(
                variables, images, train=train, mutable="batch_stats"
            )[0]
            for dtype in ("bfloat16", "float32")
        )
        assert narrow.dtype == wide.dtype == np.float32
        np.testing.assert_allclose(narrow, wide, rtol=0, atol=0.03 * np.abs(wide).max())
        assert (narrow != wide).any()


def test_convolutions_and_the_classifier_multiply_bfloat16():
    for text in lowered(RICH, "bfloat16"):
        convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
        assert len(convolutions) >= 3
        assert all("xbf16>" in line and "xf32>" not in line for line in convolutions)
        assert "xbf16>) -> tensor<6x4xf32>" in text, "the classifier's product is added up in float32"


@over_examples
def test_a_program_in_float32_knows_no_bfloat16(genotype):
    assert all("bf16" not in text for text in lowered(genotype, "float32"))


def test_mean_and_variance_are_taken_in_float32():
    """Eight bits would lose the variance of images that are far from zero."""
    images = np.asarray(jax.numpy.asarray(batch_of(64)[0] * 4 + 100, "bfloat16")).astype(np.float32)
    network = Phenotype(
        architecture(Genotype(0.1, (one_to_one(1, BN_RELU),)), SHAPE), CLASSES, 0.0, compute_dtype="bfloat16"
    )
    variables = random_variables(variable_shapes(network), 3)
    _, updates = network.apply(variables, images, train=True, mutable="batch_stats")
    statistics = updates["batch_stats"]["batch_norm_1"]
    np.testing.assert_allclose(statistics["mean"], images.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(statistics["var"], images.var(axis=(0, 1, 2), dtype=np.float64), rtol=1e-2)


def test_a_chunk_for_accelerators_agrees_with_step_by_step():
    network, batch, rate = network_of(SKIPPING), batch_of(), np.float32(0.01)
    step = make_train_step(network, Settings())
    chunked = jax.jit(make_train_chunk(step, lambda images, plan, step: images, 4))(
        carry_of(network), batch, None, np.full(3, rate), np.int32(0), np.int32(3)
    )
    stepped = carry_of(network)
    for _ in range(3):
        stepped = jax.jit(step)(stepped, batch, rate)
    chex.assert_trees_all_close(jax.device_get(chunked), jax.device_get(stepped), rtol=0.05, atol=0.05)


# A run.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("bfloat16") / "run"
    start(path, EVENTS, compute_dtype="bfloat16")
    write_result(path)
    return jaxevo.open(path)


def test_a_run_differs_from_one_in_float32_and_says_so(finished, tmp_path):
    assert finished.settings.compute_dtype == finished.best.module.compute_dtype == "bfloat16"
    start(tmp_path / "run", EVENTS)
    assert jaxevo.open(tmp_path / "run").fingerprint != finished.fingerprint


def test_a_run_on_one_lane_that_is_gone_on_with_ends_the_same(finished, tmp_path):
    start(tmp_path / "run", EVENTS // 2, lanes=1, compute_dtype="bfloat16")
    resume(tmp_path / "run", EVENTS)
    assert jaxevo.open(tmp_path / "run").fingerprint == finished.fingerprint


def test_a_run_is_verified_by_training_its_best_again(finished):
    said = []
    assert verify_run(finished.path, "best", said.append) == []
    assert said[-1].endswith("equal, bit for bit")


def test_saved_networks_are_evaluated_as_they_were_trained(finished):
    assert finished.test(ensemble_size=1).ensemble == finished.best.test_accuracy
    assert {array.dtype for array in jax.tree.leaves(finished.best.variables)} == {np.dtype(np.float32)}
