"""Networks in bfloat16 compute what they compute in float32, up to its rounding, wherever they run.

Fused with bfloat16 between them, two convolutions of 56 channels give NaN with JAX 0.11 and 0.12 on a CPU with AMX.
"""

import importlib.util
from typing import Any

import jax
import jax.export
import numpy as np
import pytest
from helpers.births import COST, SPACE
from helpers.genotypes import BN_RELU, convolution
from helpers.numpy_network import random_variables

from jaxevo.data import load
from jaxevo.doors.opening import built_in
from jaxevo.layers.batch_norm import BatchNorm
from jaxevo.layers.convolution import convolve_on
from jaxevo.networks.batches import Images, images_on
from jaxevo.networks.devices import Devices
from jaxevo.networks.programs import ProgramMaker
from jaxevo.networks.training import carry_shapes, evaluation_batch_size, make_train_step, start
from jaxevo.reports.export import export_network
from jaxevo.reports.network import Network
from jaxevo.search.population import Individual
from jaxevo.settings import Limits, Settings
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.networks import LargeScaleNetworks
from jaxevo.spaces.network_space import Kernels
from jaxevo.storage.machine import Machine
from jaxevo.storage.manifest import Manifest
from jaxevo.storage.workdir import Workdir

SHAPE, CLASSES, IMAGES = (8, 8, 1), 10, 40
WIDE = Genotype(
    0.1,
    (convolution(1, 56, activation=BN_RELU), convolution(2, activation=BN_RELU), convolution(3, activation=BN_RELU)),
)
PIXELS = np.random.default_rng(1).integers(256, size=(IMAGES, *SHAPE), dtype=np.uint8)
LABELS = np.random.default_rng(2).integers(CLASSES, size=IMAGES).astype(np.int32)
MEAN, DEVIATION = 0.3, 0.4
NORMALISED = ((PIXELS / np.float32(255) - np.float32(MEAN)) / np.float32(DEVIATION)).astype(np.float32)
SETTINGS = {name: Settings(compute_dtype=name, train_steps=6, batch_size=IMAGES) for name in ("float32", "bfloat16")}
MANIFEST = Manifest(
    settings=SETTINGS["bfloat16"],
    limits=Limits(),
    data_fingerprint="0" * 64,
    image_shape=SHAPE,
    class_names=tuple("abcdefghij"),
    mean=(MEAN,),
    deviation=(DEVIATION,),
    validation_images=1,
    machine=Machine({}, "cpu", "cpu", "", 1, "", (), (), 1),
)
COMPILED = SPACE.architecture(WIDE, MANIFEST.task)
NETWORKS = LargeScaleNetworks()
VARIABLES = random_variables(NETWORKS.shapes(COMPILED, MANIFEST.task, Settings()), 3)


def in_float32():
    module = NETWORKS.module(COMPILED, MANIFEST.task, SETTINGS["float32"])
    return np.asarray(jax.jit(module.apply, static_argnames="train")(VARIABLES, NORMALISED, train=False))


def assert_close(logits, expected):
    assert np.isfinite(logits).all()
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=0, atol=0.03 * np.abs(expected).max())
    assert (logits != expected).any(), "it is rounded to bfloat16"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "network"
    export_network(SPACE, WIDE, VARIABLES, MANIFEST, {}, folder)
    return folder


def test_a_step_of_training_agrees_with_one_in_float32():
    moved = {}
    for name, settings in SETTINGS.items():
        kernels = Kernels(convolve_on("cpu", settings), BatchNorm)
        module = NETWORKS.module(COMPILED, MANIFEST.task, settings, kernels=kernels)
        first = start(VARIABLES, carry_shapes(NETWORKS.shapes(COMPILED, MANIFEST.task, settings), settings))
        after = jax.jit(make_train_step(module, settings))(first, (NORMALISED, LABELS), np.float32(0.01))
        moved[name] = jax.tree.map(lambda new, old: np.asarray(new) - old, after.params, VARIABLES["params"])
    for narrow, wide in zip(jax.tree.leaves(moved["bfloat16"]), jax.tree.leaves(moved["float32"]), strict=True):
        assert np.linalg.norm(narrow - wide) < 0.15 * np.linalg.norm(wide)


def test_the_evaluation_of_a_run_agrees_with_one_in_float32():
    dataset, found = load("digits"), {}
    images = Images(*images_on("cpu", dataset))
    for name, settings in SETTINGS.items():
        maker = ProgramMaker(settings, built_in(settings), dataset, Devices(jax.local_devices()[:1]))
        size = evaluation_batch_size(settings, dataset)
        batch = dataset.test.images[:size], dataset.test.labels[:size].astype(np.int32)
        evaluation: Any = maker.make(COMPILED).evaluate(VARIABLES, images, batch, np.int32(0))
        assert int(evaluation.correct) >= 0, "a logit is not finite"
        found[name] = np.asarray(evaluation.predictions)
    assert (found["bfloat16"] == found["float32"]).mean() > 0.9


def test_a_saved_network_predicts_as_in_float32(tmp_path):
    individual = Individual(0, None, None, WIDE, 0.5, 0.5, None, None, 1, COST)
    parts = {"manifest": MANIFEST, "individual": individual, "test_accuracy": 0.5, "finish": None}
    parts["variables"] = VARIABLES
    network = Network.from_parts(parts, Workdir(tmp_path))
    expected = in_float32()
    apply = jax.jit(network.module.apply, static_argnames="train")
    assert_close(apply(VARIABLES, NORMALISED, train=False), expected)
    powers = np.exp(expected - expected.max(axis=-1, keepdims=True))
    probabilities = powers / powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(network.predict_proba(PIXELS), probabilities, rtol=0, atol=0.1)


def test_exported_source_agrees_with_float32(exported):
    spec = importlib.util.spec_from_file_location("exported_in_bfloat16", exported / "network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert_close(jax.jit(module.Network().apply)(module.load(), PIXELS), in_float32())


def test_exported_stablehlo_agrees_with_float32(exported):
    program = jax.export.deserialize(bytearray((exported / "network.stablehlo").read_bytes()))
    assert_close(np.asarray(program.call(PIXELS)), in_float32())
