"""Trainings on the lanes of this machine, on real images: what comes out, in which order, and what ends them."""

import contextlib
import dataclasses
import json
import os
import shutil
import threading
import time
from types import SimpleNamespace

import numpy as np
import orbax.checkpoint as ocp
import pytest
from helpers import births as helper
from helpers.births import SPACE
from helpers.genotypes import BN_RELU, convolution
from helpers.numpy_network import forward

from jaxevo.data import load
from jaxevo.doors.opening import built_in
from jaxevo.execution.lane import Lane
from jaxevo.execution.local import LaneError, LocalExecutor
from jaxevo.execution.queue import BirthQueue
from jaxevo.networks import trainer
from jaxevo.search.births import Outcome
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.large_scale import networks
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
        settings = settings_of(**changes)
        executor = LocalExecutor(settings, built_in(settings), digits, workdir, Execution(lanes), SESSION, attempts)
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
        self.may_go_on = threading.Event()
        self.may_go_on.set()
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
        assert noted.may_go_on.wait(60)
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
    assert one.outcome.accuracy == share_correct(NETWORK, variables, digits, digits.validation)
    assert one.test_accuracy == share_correct(NETWORK, variables, digits, digits.test)
    # It learned something, and it knows not everything.
    assert 0.2 < one.outcome.accuracy < 1
    assert 0.2 < one.test_accuracy < 1


def test_the_outcome_that_evolution_is_told_holds_no_test_accuracy(one):
    assert {field.name for field in dataclasses.fields(Outcome)} == {
        "id",
        "accuracy",
        "weights",
        "weights_sha256",
        "failure",
        "checks",
        "stopped_at",
        "confusion",
        "loss",
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
        return record.outcome.accuracy, record.outcome.weights_sha256, record.test_accuracy

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
    monkeypatch.setattr(trainer, "validate", lambda *_: None)
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

    for module, function in ((trainer, trainer.plan_training), (networks, networks.first_variables)):
        monkeypatch.setattr(module, function.__name__, noting(function))
    finish(executor_of(seed=7), birth_of(3), birth_of(4))
    assert sorted(asked) == [(name, 7, number) for name in ("first_variables", "plan_training") for number in (3, 4)]


def test_test_images_never_fail_a_training(executor_of, digits, one, monkeypatch):
    validate = trainer.validate

    def without_test(evaluate, variables, images, batches, split, *classes):
        return None if split is digits.test else validate(evaluate, variables, images, batches, split, *classes)

    monkeypatch.setattr(trainer, "validate", without_test)
    record = finish(executor_of(), birth_of(5, NETWORK))[5]
    assert record.test_accuracy is None
    assert record.outcome.failure is None
    assert (record.outcome.accuracy, record.outcome.weights_sha256) == (
        one.outcome.accuracy,
        one.outcome.weights_sha256,
    )


def test_a_lane_trains_on_after_a_failure(executor_of):
    records = finish(executor_of(), birth_of(1, DIVERGING), birth_of(2))
    assert records[2].outcome.accuracy > 0


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


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_an_error_in_a_training_names_the_individual(executor_of, monkeypatch, kind):
    def failing(*_):
        raise kind("the code of a space from outside")

    executor = executor_of()
    monkeypatch.setattr(trainer.Trainer, "begin", failing)
    executor.submit([birth_of(7)])
    with pytest.raises(LaneError, match=f"individual 7 failed .*{kind.__name__}: the code of a space from outside"):
        for _ in range(60):
            assert executor.finished(1.0) == []


def test_an_error_of_the_disk_is_no_death_of_the_training(executor_of, monkeypatch, tmp_path):
    """Orbax and TensorStore make a `ValueError` of it."""

    def failing(*_, **__):
        raise ValueError("OUT_OF_RANGE: Error writing file [os_error_code='27': File too large]")

    executor = executor_of()
    monkeypatch.setattr(ocp.Checkpointer, "save", failing)
    executor.submit([birth_of(7)])
    with pytest.raises(OSError, match="000007-1 cannot be written .*File too large"):
        for _ in range(60):
            assert executor.finished(1.0) == []
    assert read_journal(tmp_path / "journal.jsonl").lost == ()


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
    executor = executor_of(train_steps=3)
    trainings.may_go_on.clear()
    executor.submit([birth_of(0, due=0.0), birth_of(1, due=9.0)])
    trainings.wait(lambda: trainings.begun == [0])
    executor.submit([birth_of(2, due=5.0), birth_of(3, due=4.0)])
    trainings.may_go_on.set()
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


# Compiling ahead.


def test_spare_cores_compile_ahead_side_by_side_and_nothing_twice(executor_of, monkeypatch):
    """Each of four architectures waits, in its compilation, until all four are being compiled."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    together, asked = threading.Barrier(4, timeout=60), []

    def meeting(phenotype):
        asked.append(phenotype.architecture)
        together.wait()
        return variable_shapes(phenotype)

    monkeypatch.setattr(networks, "variable_shapes", meeting)
    births = [birth_of(number, Genotype(0.1, (convolution(1, number + 2),))) for number in range(4)]
    records = finish(executor_of(lanes=1), *births)
    assert sorted(records) == [0, 1, 2, 3]
    assert len(asked) == len(set(asked)) == 4


def test_what_cannot_be_compiled_ahead_ends_no_session(executor_of, trainings, monkeypatch):
    """Whether a birth beyond the end of the run is compiled in time must not matter."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    odd, tried = birth_of(1, Genotype(0.1, (convolution(1, 3),)), due=1.0), threading.Event()

    def refusing(phenotype):
        if phenotype.architecture == odd.architecture:
            tried.set()
            raise RuntimeError("cannot be compiled")
        return variable_shapes(phenotype)

    monkeypatch.setattr(networks, "variable_shapes", refusing)
    executor = executor_of(lanes=1)
    trainings.may_go_on.clear()
    executor.submit([birth_of(0, due=0.0)])
    trainings.wait(lambda: trainings.begun == [0])
    executor.submit([odd])
    assert tried.wait(60)
    trainings.may_go_on.set()
    assert [record.outcome.id for record in executor.finished(60.0)] == [0]


def test_no_more_is_compiled_ahead_than_stays_in_memory_until_it_is_needed():
    births = [birth_of(number, Genotype(0.1, (convolution(1, number + 2),))) for number in range(9)]
    waiting = BirthQueue(SimpleNamespace(suspicious=lambda birth_id: False))
    waiting.submit(births)
    compilers = [SimpleNamespace(capacity=4, knows=lambda architecture: False)]
    assert [waiting.take_unknown(compilers) for _ in range(2)] == [birth.architecture for birth in births[:2]]
    assert waiting._first_unknown(compilers) is None
