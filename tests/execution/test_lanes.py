"""Trainings on the lanes of this machine, on real images: what comes out, in which order, and what ends them."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from helpers import births as helper
from helpers.births import SPACE
from helpers.genotypes import BN_RELU, convolution
from helpers.numpy_network import forward

from jaxevo.data import load
from jaxevo.execution import lane
from jaxevo.execution.lane import Lane
from jaxevo.execution.local import LocalExecutor
from jaxevo.networks import compilation
from jaxevo.search.births import Outcome
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json
from jaxevo.spaces.large_scale.network import variable_shapes
from jaxevo.storage.attempts import Attempts
from jaxevo.storage.checkpoint import CheckpointError, WeightStore
from jaxevo.storage.journal import Journal, read_journal
from jaxevo.storage.workdir import Workdir, weight_names

SESSION = 3
PLAIN = Genotype(0.1)
NETWORK = Genotype(0.1, (convolution(1, 8, (1, 1), 1, BN_RELU), convolution(2, 2, (1, 1), 1, BN_RELU)))
ABSURD = Genotype(1e30, NETWORK.layers[:1])
DIVERGING = Genotype(3e38)
"""Its loss is no finite number after some steps."""
OVERFLOWING = Genotype(3e37)
"""Its loss is no finite number after some steps either, but all of its weights are, and in the end its logits."""


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def settings_of(**changes):
    return Settings(**{"train_steps": 20, "batch_size": 50, "evaluation_batch_size": 100, **changes})


def birth_of(birth_id, genotype=PLAIN, due=None, parent=None):
    return helper.birth_of(birth_id, genotype, parent=parent, due=due)


@contextlib.contextmanager
def executors_in(path, digits):
    """Gives a maker of executors, which are closed at the end."""
    workdir, executors = Workdir(path), []

    def make(lanes=1, **changes):
        attempts = Attempts(journal, read_journal(workdir.journal), SESSION, max_deaths=5)
        executor = LocalExecutor(settings_of(**changes), digits, workdir, Execution(lanes), SESSION, attempts)
        executors.append(executor)
        return executor

    with Journal(workdir.journal) as journal:
        yield make
        for executor in executors:
            executor.close()


@pytest.fixture
def executor_of(digits, tmp_path):
    """Returns a maker of executors, which are closed after the test."""
    with executors_in(tmp_path, digits) as make:
        yield make


def finish(executor, *births):
    """Submits births and returns their records by id."""
    executor.submit(births)
    records = {}
    deadline = time.monotonic() + 60
    while len(records) < len(births):
        assert time.monotonic() < deadline
        records |= {record.outcome.id: record for record in executor.finished(1.0)}
    return records


class Trainings:
    """Notes in which order trainings begin, and in which thread, and which have ended."""

    def __init__(self):
        self.begun, self.ended, self.threads = [], [], []
        self._changed = threading.Condition()

    def note(self, ids, birth):
        with self._changed:
            ids.append(birth.id)
            self.threads.append(threading.current_thread())
            self._changed.notify_all()

    def wait(self, holds):
        with self._changed:
            assert self._changed.wait_for(holds, 60)


@pytest.fixture
def trainings(monkeypatch):
    noted = Trainings()
    train = Lane.train

    def noting(self, birth, *others):
        noted.note(noted.begun, birth)
        try:
            return train(self, birth, *others)
        finally:
            noted.note(noted.ended, birth)

    monkeypatch.setattr(Lane, "train", noting)
    return noted


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The folder of the weights of `one`."""
    return tmp_path_factory.mktemp("run") / "weights"


@pytest.fixture(scope="module")
def one(digits, weights):
    """The record of one birth, trained alone."""
    with executors_in(weights.parent, digits) as make:
        executor = make()
        record = finish(executor, birth_of(5, NETWORK))[5]
        assert executor.close() == []
        return record


# What comes out.


def share_correct(genotype, variables, digits, split):
    normalised = (split.images / 255 - digits.mean) / digits.std
    predictions = forward(genotype, variables, normalised).logits.argmax(axis=1)
    return (predictions == split.labels).sum() / len(split.labels)


def test_fitness_and_test_accuracy_are_exact_shares_of_their_splits(one, digits, weights):
    variables = WeightStore(weights, SPACE).load(one.outcome.weights, one.outcome.weights_sha256, NETWORK)
    assert one.outcome.fitness == share_correct(NETWORK, variables, digits, digits.validation)
    assert one.test_accuracy == share_correct(NETWORK, variables, digits, digits.test)
    # It learned something, and it knows not everything.
    assert 0.2 < one.outcome.fitness < 1
    assert 0.2 < one.test_accuracy < 1


def test_the_outcome_that_evolution_is_told_holds_no_test_accuracy(one):
    assert {field.name for field in dataclasses.fields(Outcome)} == {
        "id",
        "fitness",
        "weights",
        "weights_sha256",
        "failure",
    }
    assert one.test_accuracy not in dataclasses.astuple(one.outcome)


def test_the_weights_folder_has_the_genotype_beside_the_arrays(one, weights):
    assert weight_names(weights) == [one.outcome.weights]
    folder = weights / one.outcome.weights
    assert genotype_from_json(json.loads((folder / "genotype.json").read_text())) == NETWORK


def test_a_record_says_what_it_took(one):
    assert one.session == SESSION
    assert one.compile_seconds > 0
    assert one.train_seconds > 0
    assert one.outcome.failure is None
    assert 0 <= time.time() - one.finished < 600


def test_the_same_birth_gives_the_same_whatever_is_trained_before_or_beside_it(executor_of, one, tmp_path):
    def result(record):
        return record.outcome.fitness, record.outcome.weights_sha256, record.test_accuracy

    # On two lanes: after some births, beside others, of the same architecture and of another.
    crowd = [birth_of(number, NETWORK if number % 2 else PLAIN) for number in (1, 2, 3, 4, 6, 7, 8)]
    records = finish(executor_of(lanes=2), *crowd, birth_of(5, NETWORK))
    assert result(records[5]) == result(one)
    shutil.rmtree(tmp_path / "weights")
    # On one lane: first of all, and once more by another process's number.
    records = finish(executor_of(), birth_of(5, NETWORK, due=0.0), birth_of(6, NETWORK))
    assert result(records[5]) == result(one)
    assert result(records[6]) != result(one)


def test_individuals_of_one_genotype_differ_by_their_id(executor_of):
    records = finish(executor_of(lanes=2), *(birth_of(number) for number in range(3)))
    assert len({record.outcome.weights_sha256 for record in records.values()}) == 3


def test_a_child_trains_on_from_its_parents_weights(executor_of, tmp_path):
    executor, still = executor_of(), dataclasses.replace(NETWORK, learning_rate=1e-30)
    parent = finish(executor, birth_of(1, NETWORK))[1].outcome
    children = finish(executor, birth_of(2, still, parent=(NETWORK, parent)), birth_of(3, still))
    store = WeightStore(tmp_path / "weights", SPACE)
    theirs, heirs, fresh = (
        store.load(outcome.weights, outcome.weights_sha256, genotype)["params"]
        for outcome, genotype in ((parent, NETWORK), (children[2].outcome, still), (children[3].outcome, still))
    )
    for module, arrays in theirs.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(heirs[module][name], array)
            assert (fresh[module][name] != array).any()


# Failures.


@pytest.mark.parametrize("genotype", [DIVERGING, OVERFLOWING, ABSURD], ids=["linear", "overflow", "convolutions"])
def test_an_absurd_learning_rate_ends_with_fitness_zero_and_a_reason(executor_of, tmp_path, genotype):
    record = finish(executor_of(), birth_of(1, genotype))[1]
    assert record.outcome == Outcome(1, 0.0, None, None, failure=record.outcome.failure)
    assert "finite" in record.outcome.failure
    assert record.test_accuracy is None
    assert weight_names(tmp_path / "weights") == []


def test_validation_logits_that_are_not_finite_fail_the_training(executor_of, monkeypatch, tmp_path):
    monkeypatch.setattr(lane, "accuracy", lambda *_: None)
    record = finish(executor_of(), birth_of(1))[1]
    assert record.outcome == Outcome(1, 0.0, None, None, failure="a logit is not a finite number")
    assert record.test_accuracy is None
    assert weight_names(tmp_path / "weights") == []


def test_batches_and_fresh_arrays_are_those_of_the_runs_seed_and_the_individual(executor_of, monkeypatch):
    asked = []

    def noting(function):
        def noted(seed, individual_id, *others):
            asked.append((function.__name__, seed, individual_id))
            return function(seed, individual_id, *others)

        return noted

    for function in (lane.plan_training, lane.first_variables):
        monkeypatch.setattr(lane, function.__name__, noting(function))
    finish(executor_of(seed=7), birth_of(3), birth_of(4))
    assert sorted(asked) == [(name, 7, number) for name in ("first_variables", "plan_training") for number in (3, 4)]


def test_test_images_never_fail_a_training(executor_of, digits, one, monkeypatch):
    measure = lane.accuracy

    def without_test(evaluate, variables, images, batches, count):
        return None if count == len(digits.test.labels) else measure(evaluate, variables, images, batches, count)

    monkeypatch.setattr(lane, "accuracy", without_test)
    record = finish(executor_of(), birth_of(5, NETWORK))[5]
    assert record.test_accuracy is None
    assert record.outcome.failure is None
    assert (record.outcome.fitness, record.outcome.weights_sha256) == (one.outcome.fitness, one.outcome.weights_sha256)


def test_a_lane_trains_on_after_a_failure(executor_of):
    records = finish(executor_of(), birth_of(1, DIVERGING), birth_of(2))
    assert records[2].outcome.fitness > 0


def altered(weights, outcome):
    """Replaces an individual's arrays by ones that Orbax finds as good."""
    store = WeightStore(weights, SPACE)
    variables = store.load(outcome.weights, outcome.weights_sha256, PLAIN)
    bias = variables["params"]["classifier"]["bias"]
    variables["params"]["classifier"]["bias"] = bias + np.float32(1e-3)
    shutil.rmtree(weights / outcome.weights)
    store.save(outcome.weights, PLAIN, variables)


def missing(weights, outcome):
    shutil.rmtree(weights / outcome.weights)


def of_another_genotype(weights, outcome):
    (weights / outcome.weights / "genotype.json").write_text(json.dumps(NETWORK.to_json()))


@pytest.mark.parametrize("damage", [altered, missing, of_another_genotype])
def test_damaged_weights_of_a_parent_stop_with_a_sentence(executor_of, tmp_path, damage):
    executor = executor_of()
    parent = finish(executor, birth_of(1))[1].outcome
    damage(tmp_path / "weights", parent)
    executor.submit([birth_of(2, parent=(PLAIN, parent))])
    with pytest.raises(CheckpointError, match=parent.weights):
        for _ in range(60):
            assert executor.finished(1.0) == []


def test_what_finished_before_a_lane_failed_is_not_lost(executor_of, trainings, tmp_path):
    executor = executor_of()
    parent = finish(executor, birth_of(1))[1].outcome
    missing(tmp_path / "weights", parent)
    executor.submit([birth_of(2), birth_of(3, parent=(PLAIN, parent))])
    trainings.wait(lambda: len(trainings.ended) == 3)
    # Its thread ends with the failure; both the record and the failure wait to be asked for.
    trainings.threads[-1].join(60)
    records = []
    with pytest.raises(CheckpointError):
        for _ in range(3):
            records += executor.finished(1.0)
    records += executor.close()
    assert [record.outcome.id for record in records] == [2]


# Order and end.


def test_births_are_taken_in_due_order(executor_of, trainings):
    executor = executor_of(train_steps=3)
    finish(executor, birth_of(0))
    dues = {1: 4.0, 2: 1.0, 3: 3.0, 4: 3.0, 5: 2.0, 6: 0.5}
    finish(executor, *(birth_of(number, due=due) for number, due in dues.items()))
    assert trainings.begun == [0, 6, 2, 5, 3, 4, 1]


def test_births_of_a_later_call_that_are_due_earlier_come_first(executor_of, trainings):
    executor = executor_of(train_steps=3_000)
    executor.submit([birth_of(0, due=0.0), birth_of(1, due=9.0)])
    trainings.wait(lambda: trainings.begun == [0])
    finish(executor, birth_of(2, due=5.0), birth_of(3, due=4.0))
    trainings.wait(lambda: len(trainings.begun) == 4)
    assert trainings.begun == [0, 3, 2, 1]


def test_two_lanes_train_two_births_at_once(executor_of, trainings):
    executor = executor_of(lanes=2, train_steps=3_000)
    finish(executor, birth_of(0), birth_of(1))
    assert len(set(trainings.threads)) == 2


def test_closing_drops_what_is_in_training_and_returns_what_finished(executor_of, trainings, tmp_path):
    executor = executor_of(lanes=2, train_steps=50_000)
    # The first ends soon, since it diverges; the others, which come after it, would take much longer.
    executor.submit([birth_of(0, DIVERGING)])
    trainings.wait(lambda: trainings.ended == [0])
    executor.submit([birth_of(number, NETWORK) for number in (1, 2, 3)])
    trainings.wait(lambda: {1, 2} <= set(trainings.begun))
    began = time.monotonic()
    records = executor.close()
    assert time.monotonic() - began < 5
    assert [record.outcome.id for record in records] == [0]
    for thread in trainings.threads:
        thread.join(60)  # One that was compiling ends after it.
    assert not any(thread.is_alive() for thread in trainings.threads)
    assert 3 not in trainings.begun
    assert weight_names(tmp_path / "weights") == []


def test_nothing_is_finished_before_its_time(executor_of):
    executor = executor_of()
    began = time.monotonic()
    assert executor.finished(0.1) == []
    assert 0.1 <= time.monotonic() - began < 5
    assert executor.close() == []


# A process is prepared before JAX starts.


def run_fresh(script, **environment):
    """Runs a script in a process that inherits nothing of this one's preparation; returns what it prints."""
    unset = ("NPROC", "XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**inherited, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


ASK_FOR_WORK = """
    import jax, numpy as np
    start = jax.block_until_ready(jax.device_put(np.ones((500, 500), np.float32)))
    work = jax.jit(lambda x, steps: jax.lax.fori_loop(0, steps, lambda _, y: y @ y / 500, x))
    work = work.lower(start, np.int32(0)).compile()
    for _ in range(5):
        result = work(start, np.int32(30))
        print(result.is_ready())
        result.block_until_ready()
"""


def test_a_prepared_process_has_one_thread_a_lane_and_dispatches_in_it():
    printed = run_fresh(
        """
    import os, sys
    from jaxevo.environment import prepare_process
    assert "jax" not in sys.modules
    print(prepare_process(), prepare_process(), os.environ["NPROC"], *os.environ["XLA_FLAGS"].split())
    """
        + ASK_FOR_WORK
    )
    assert printed[:3] == ["True", "True", "1"]
    assert "--xla_cpu_enable_concurrency_optimized_scheduler=false" in printed[3:-5]
    # A step is done when its call returns.
    assert printed[-5:] == 5 * ["True"]


def test_an_unprepared_process_would_dispatch_asynchronously():
    assert run_fresh(ASK_FOR_WORK) == 5 * ["False"]


def test_a_process_in_which_jax_was_loaded_before_cannot_be_prepared():
    printed = run_fresh(
        """
    import os, jax
    from jaxevo.environment import prepare_process
    print(prepare_process(), prepare_process(), "NPROC" in os.environ, "XLA_FLAGS" in os.environ)
    """
    )
    assert printed == ["False", "False", "False", "False"]


def test_a_users_own_flags_are_kept():
    printed = run_fresh(
        """
    import os
    from jaxevo.environment import prepare_process
    prepare_process()
    print(*os.environ["XLA_FLAGS"].split())
    """,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert "--xla_force_host_platform_device_count=2" in printed
    assert "--xla_cpu_enable_concurrency_optimized_scheduler=false" in printed


def test_on_gpus_operations_are_deterministic_unless_fast():
    printed = run_fresh(
        """
    from jaxevo.environment import required_environment
    usual, fast = required_environment(), required_environment(fast=True)
    name = "--xla_gpu_deterministic_ops=true"
    print(name in usual["XLA_FLAGS"].split(), name in fast["XLA_FLAGS"].split())
    print("autotune" in usual["XLA_FLAGS"])
    print("NPROC" in usual)
    """,
        JAX_PLATFORMS="cuda",
    )
    assert printed == ["True", "False", "False", "False"]


COUNT = """
    import os
    from jaxevo.environment import prepare_process
    from jaxevo.settings import Execution
    print(prepare_process({execution}), prepare_process({later}))
    import jax
    print(jax.local_device_count(), os.environ["NPROC"], "device_count" in os.environ["XLA_FLAGS"])
"""


@pytest.mark.parametrize(
    ("execution", "devices"), [("", 1), ("Execution(3)", 1), ("Execution(1, 4)", 4), ("Execution(3, 2)", 6)]
)
def test_virtual_devices_are_made_only_for_several_devices_a_lane(execution, devices):
    """And the pool, which shapes results and is recorded with the flags, is the same for all."""
    assert run_fresh(COUNT.format(execution=execution, later="")) == ["True", "True", str(devices), "1", "False"]


def test_without_a_number_of_lanes_there_is_one_at_least():
    cores = len(os.sched_getaffinity(0))
    for each in (2, 2 * cores):
        printed = run_fresh(COUNT.format(execution=f"Execution(devices_per_lane={each})", later=""))
        assert int(printed[2]) == max(1, cores // each) * each


def test_a_process_prepared_for_fewer_devices_cannot_have_more():
    assert run_fresh(COUNT.format(execution="Execution(1, 2)", later="Execution(2, 2)"))[:2] == ["True", "False"]


def test_a_users_own_number_of_devices_is_kept():
    flag = "--xla_force_host_platform_device_count=5"
    assert run_fresh(COUNT.format(execution="Execution(1, 2)", later=""), XLA_FLAGS=flag)[2] == "5"


# Compiling ahead.


def test_spare_cores_compile_ahead_side_by_side_and_nothing_twice(executor_of, monkeypatch):
    """Each of four architectures waits, in its compilation, until all four are being compiled."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    together, asked = threading.Barrier(4, timeout=60), []

    def meeting(phenotype):
        asked.append(phenotype.architecture)
        together.wait()
        return variable_shapes(phenotype)

    monkeypatch.setattr(compilation, "variable_shapes", meeting)
    births = [birth_of(number, Genotype(0.1, (convolution(1, number + 2),))) for number in range(4)]
    records = finish(executor_of(lanes=1), *births)
    assert sorted(records) == [0, 1, 2, 3]
    assert len(asked) == len(set(asked)) == 4
