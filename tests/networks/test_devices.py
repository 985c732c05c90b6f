"""Several devices a lane, on virtual CPU devices: as one device within rounding, and to the last bit every time."""

import os

import jax
import numpy as np
import pytest
from helpers.tiny_runs import TINY, jaxevo, run_arguments, start
from helpers.virtual_devices import PROGRAMS, train

import jaxevo as package
from jaxevo.data import load
from jaxevo.environment.flags import TPU_OPTIONS
from jaxevo.networks.devices import Devices, _compiled, device_groups
from jaxevo.session.progress import Watcher
from jaxevo.session.run import resume_run
from jaxevo.settings import Execution, Limits

EVENTS = 10
SHARED = {"batch_size": 48, "train_steps": 20}


def equal(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


# A training.


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one device makes of 20 steps."""
    (arrays,) = train(tmp_path_factory.mktemp("alone"), 1, 1, steps=20)
    return arrays


@pytest.mark.parametrize("devices_per_lane", [2, 4])
@pytest.mark.parametrize("program", PROGRAMS)
def test_parameters_after_20_steps_agree_with_a_single_devices(tmp_path, alone, devices_per_lane, program):
    (shared,) = train(tmp_path, 1, devices_per_lane, steps=20, program=program)
    assert shared.keys() == alone.keys()
    for name, array in alone.items():
        np.testing.assert_allclose(shared[name], array, rtol=1e-4, atol=2e-6, err_msg=name)


@pytest.fixture(scope="module")
def two_lanes_of_two(tmp_path_factory):
    return train(tmp_path_factory.mktemp("2x2"), 2, 2, steps=500)


@pytest.mark.parametrize(("lanes", "devices_per_lane"), [(1, 4), (4, 2), (1, 8)])
def test_500_steps_run_through_with_equal_bits_on_every_lane(tmp_path, two_lanes_of_two, lanes, devices_per_lane):
    trained = train(tmp_path, lanes, devices_per_lane, steps=500, timeout=300)
    if devices_per_lane == 2:
        trained += two_lanes_of_two
    assert all(equal(trained[0], other) for other in trained)
    assert all(np.isfinite(array).all() for array in trained[0].values())


def test_two_devices_give_the_same_bits_every_time(tmp_path, two_lanes_of_two):
    trained = [*two_lanes_of_two, *train(tmp_path, 1, 2, steps=500)]
    assert all(equal(trained[0], other) for other in trained)


# A run.


def run_of(path, lanes, devices_per_lane, max_individuals=EVENTS, **changes):
    arguments = run_arguments(
        path, max_individuals, lanes=lanes, devices_per_lane=devices_per_lane, **SHARED, **changes
    )
    ended = jaxevo(*arguments)
    assert ended.returncode == 0, ended.stderr
    return package.open(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("shared") / "run", 1, 2)


def test_the_number_of_lanes_does_not_change_a_run(tmp_path, run):
    assert run_of(tmp_path / "run", 2, 2).fingerprint == run.fingerprint


def test_accuracies_are_exact_shares_of_their_splits(run):
    dataset = load(TINY["dataset"])
    best = run.best
    for split, measured in ((dataset.validation, best.validation_accuracy), (dataset.test, best.test_accuracy)):
        images = (split.images / np.float32(255) - dataset.mean) / dataset.std
        logits = best.module.apply(best.variables, images, train=False)
        correct = np.asarray(logits).argmax(axis=-1) == split.labels
        # A logit's last bit may tip one image.
        assert measured == pytest.approx(correct.mean(), abs=0.003)


def test_training_diverges_on_several_devices_as_on_one(tmp_path):
    history = run_of(tmp_path / "run", 1, 2, 3, initial_learning_rate=3e38).history
    assert (history["validation_accuracy"] == 0).all()


def test_a_resume_with_another_number_of_devices_says_so(run):
    notices = []

    class Noticing(Watcher):
        def notice(self, text: str) -> None:
            notices.append(text)

    resume_run(run.path, Limits(max_individuals=EVENTS), Execution(1), Noticing())
    assert run.manifest.machine.devices_per_lane == 2
    assert [text for text in notices if text.startswith("devices per lane is 1, but was 2 when the run began")]


def test_from_python_several_devices_get_a_process_of_their_own(tmp_path, run):
    settings = {**TINY, **SHARED}
    changes = {"lanes": 1, "devices_per_lane": 2, "max_individuals": EVENTS}
    evolved = package.evolve(tmp_path / "run", preset="paper", **changes, **settings)
    assert evolved.fingerprint == run.fingerprint


# What will not do is refused before anything is written.


def test_a_batch_that_the_devices_cannot_share_is_refused_with_sizes_that_would_do(tmp_path):
    ended = jaxevo(*run_arguments(tmp_path / "run", EVENTS, lanes=1, devices_per_lane=4, batch_size=50))
    assert ended.returncode == 2
    assert "--batch-size is 50, but must be divisible by --devices-per-lane 4: 48 or 52 would do" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_resume_that_the_devices_cannot_share_is_refused(run):
    before = (run.path / "journal.jsonl").read_bytes()
    with pytest.raises(ValueError, match="batch_size is 48, but must be divisible by devices_per_lane 5: 45 or 50"):
        resume_run(run.path, Limits(max_individuals=99), Execution(1, 5), Watcher())
    assert (run.path / "journal.jsonl").read_bytes() == before


def test_too_few_devices_are_refused(tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match="devices_per_lane is 3, but must be at most 1: this machine has 1 of the kind"
    ):
        start(tmp_path / "run", EVENTS, devices_per_lane=3, batch_size=48)
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=5")
    ended = jaxevo(*run_arguments(tmp_path / "run", EVENTS, lanes=3, devices_per_lane=2, batch_size=48))
    assert ended.returncode == 2
    assert "lanes is 3, but must be at most 2: this machine has no more groups of --devices-per-lane 2" in ended.stderr
    assert not (tmp_path / "run").exists()


# One device.


def test_one_device_is_no_group():
    (device,) = jax.local_devices()
    (devices,) = device_groups(1)
    assert list(devices) == [device]
    assert devices.axis_name is None
    array = devices.put_split(np.arange(6), 0)
    assert array.shape == (6,)
    assert Devices([device]).on_first(array) is array


# Options of the compiler.


class Lowered:
    """A lowered program whose compiler knows some options."""

    def __init__(self, *known):
        self.known, self.asked = known, []

    def compile(self, compiler_options=None):
        self.asked.append(compiler_options)
        unknown = [name for name in compiler_options or {} if name not in self.known]
        if unknown:
            raise jax.errors.JaxRuntimeError(f"INVALID_ARGUMENT: No such compile option: '{unknown[0]}'")
        return "compiled"


def test_only_tpus_compile_with_options():
    for platform in ("cpu", "gpu"):
        lowered = Lowered()
        assert _compiled(lowered, platform) == "compiled"
        assert lowered.asked == [None]
    lowered = Lowered(*TPU_OPTIONS)
    assert _compiled(lowered, "tpu") == "compiled"
    assert lowered.asked == [TPU_OPTIONS]


def test_an_option_that_a_compiler_does_not_know_is_left_out():
    lowered = Lowered()
    assert _compiled(lowered, "tpu") == "compiled"
    assert lowered.asked == [TPU_OPTIONS, None]
