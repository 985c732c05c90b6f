"""The finish: the best individual trained on, beside the run and without a part in it."""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import chex
import numpy as np
import pytest
from helpers.tiny_runs import TINY, jaxevo, resume, rewrite_journal, run_arguments, start, without_stop

import jaxevo as package
from jaxevo.data import load
from jaxevo.execution import finishing
from jaxevo.execution import local as local_lanes
from jaxevo.execution.finishing import FinishExecutor
from jaxevo.execution.queue import BirthQueue
from jaxevo.execution.training_loop import DivergedError
from jaxevo.networks.trainer import Training
from jaxevo.reports.jobs import Begin, Finish, Resume
from jaxevo.reports.overview import limit_reached
from jaxevo.reports.result import write_result
from jaxevo.reports.verify import verify_run
from jaxevo.session import finish as session_finish
from jaxevo.session.finish import FinishInterrupted, finish_run
from jaxevo.session.progress import Watcher
from jaxevo.session.run import resume_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.finish import write_finish
from jaxevo.storage.history import History
from jaxevo.storage.lock import locked
from jaxevo.storage.workdir import Workdir, WorkdirError

EVENTS = 14
SHARE = 0.5


@pytest.fixture(scope="module")
def evolved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("evolved") / "run"
    start(path, EVENTS)
    return path


@pytest.fixture(scope="module")
def finished(evolved, tmp_path_factory) -> Path:
    path = Path(shutil.copytree(evolved, tmp_path_factory.mktemp("finished") / "run"))
    finish_run(path, SHARE, Execution(1), Watcher())
    return path


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture
def diverging(monkeypatch):
    """Every finish fails."""

    def diverge(*_):
        raise DivergedError("the loss is not a finite number")

    monkeypatch.setattr(finishing, "run_to_end", diverge)


def verify(path, retrain=None):
    return verify_run(path, retrain, lambda _: None)


def finish_of(path):
    return History(Workdir(path)).finish


def store(path, finish):
    (path / "finish" / "finish.json").write_text(json.dumps([dataclasses.asdict(finish)]))


def test_its_steps_take_the_share_of_the_runs_flops(finished):
    history = History(Workdir(finished))
    finish, cost = history.finish, history.lives[history.best.id].birth.cost
    assert finish.individual_id == history.best.id
    a_step = (cost.forward_flops + cost.backward_flops) * TINY["batch_size"]
    assert finish.flops == finish.steps * a_step
    assert abs(finish.flops - SHARE * history.state.total_flops) <= a_step / 2


def test_it_changes_nothing_in_the_run(evolved, finished):
    for name in ("journal.jsonl", "manifest.json"):
        assert (evolved / name).read_bytes() == (finished / name).read_bytes()
    assert package.open(evolved).fingerprint == package.open(finished).fingerprint


def test_training_and_validation_images_are_normalised_as_before():
    dataset = load("digits")
    both = dataset.with_validation_in_training()
    assert len(both.train.labels) == len(dataset.train.labels) + len(dataset.validation.labels)
    np.testing.assert_array_equal(both.train.images[len(dataset.train.labels) :], dataset.validation.images)
    np.testing.assert_array_equal(both.mean, dataset.mean)
    np.testing.assert_array_equal(both.std, dataset.std)
    assert both.test is dataset.test


def test_it_trains_on_both_from_the_evolved_weights(evolved, tmp_path, monkeypatch):
    path = Path(shutil.copytree(evolved, tmp_path / "run"))
    seen = []

    class Spied(local_lanes.Trainer):
        def begin(self, individual_id, genotype, programs, learning_rate, parent=None):
            seen.append((len(self.dataset.train.labels), parent))
            return super().begin(individual_id, genotype, programs, learning_rate, parent)

    monkeypatch.setattr(local_lanes, "Trainer", Spied)
    finish_run(path, SHARE, Execution(1), Watcher())
    [(images, (_, variables))] = seen
    dataset = load("digits")
    assert images == len(dataset.train.labels) + len(dataset.validation.labels)
    chex.assert_trees_all_equal(variables, package.open(evolved).best.variables)


def test_finished_weights_are_the_default_and_say_what_they_are(evolved, finished, tmp_path):
    before, after = package.open(evolved), package.open(finished)
    assert not before.best.finished
    assert after.best.finished
    assert "evolved" in repr(before.best)
    assert "finished" in repr(after.best)
    own = after.network(after.best.individual)
    assert not own.finished
    chex.assert_trees_all_equal(own.variables, before.best.variables)
    assert any((one != other).any() for one, other in zip(*map(leaves, (own, after.best)), strict=True))
    test = load("digits").test
    assert after.best.evaluate(*test) == after.best.test_accuracy == finish_of(finished).test_accuracy
    assert after.test().best == after.best.test_accuracy
    assert "finished: trained on" in (after.export(tmp_path / "best") / "README.md").read_text()
    assert "finished" not in (after.export(tmp_path / "own", after.best.individual) / "README.md").read_text()


def leaves(network):
    return [array for modules in network.variables["params"].values() for array in modules.values()]


def test_a_stored_finish_is_not_trained_again_but_another_share_is(copied, monkeypatch):
    stored = finish_of(copied)
    monkeypatch.setattr(session_finish, "FinishExecutor", None)
    assert finish_run(copied, SHARE, Execution(1), Watcher()) == stored
    monkeypatch.undo()
    (copied / "finish" / "weights" / ".DS_Store").write_text("of a desktop")
    other = finish_run(copied, 2 * SHARE, Execution(1), Watcher())
    assert other == finish_of(copied)
    assert other.steps == pytest.approx(2 * stored.steps, abs=1)
    # A run that ends has its own share, and somebody asked for the longer one.
    assert finish_run(copied, SHARE, Execution(1), Watcher(), longer_stays=True) == other == finish_of(copied)


def test_an_interrupted_one_goes_on_from_its_checkpoint_to_the_same_bits(evolved, finished, tmp_path, monkeypatch):
    path = interrupted(evolved, tmp_path, monkeypatch)
    assert finish_of(path) is None
    assert not package.open(path).best.finished
    steps = continued_steps(monkeypatch)
    finish = finish_run(path, SHARE, Execution(1), Watcher())
    assert len(steps) == 1
    assert steps[0] > 0
    assert finish.weights_sha256 == finish_of(finished).weights_sha256
    assert not (path / "finish" / "training").exists()


def test_one_that_another_machine_began_begins_again(evolved, finished, tmp_path, monkeypatch):
    path, said = interrupted(evolved, tmp_path, monkeypatch), []
    [noted] = path.glob("finish/training/*/machine.json")
    machine = json.loads(noted.read_text())
    noted.write_text(json.dumps({**machine, "packages": {**machine["packages"], "jax": "0.0.1"}}))
    steps = continued_steps(monkeypatch)
    watcher = Watcher()
    watcher.notice = said.append
    finish = finish_run(path, SHARE, Execution(1), watcher)
    assert steps == []
    assert any("jax is " in one and one.endswith("it begins again, for the bits of one machine") for one in said)
    assert finish.weights_sha256 == finish_of(finished).weights_sha256


def test_another_share_does_not_go_on_from_its_checkpoint(evolved, tmp_path, monkeypatch):
    # The learning rates of a checkpoint are those of its own number of steps.
    path = interrupted(evolved, tmp_path, monkeypatch)
    steps = continued_steps(monkeypatch)
    finish_run(path, 2 * SHARE, Execution(1), Watcher())
    assert steps == []
    assert not (path / "finish" / "training").exists()


def interrupted(evolved, tmp_path, monkeypatch):
    """Returns a run whose finish a signal stopped after its first call."""
    path = Path(shutil.copytree(evolved, tmp_path / "run"))
    asked = iter([False, True])

    @contextlib.contextmanager
    def signal_after_checkpoint():
        yield lambda: any(path.glob("finish/training/*/training/*"))

    with monkeypatch.context() as patched:
        patched.setattr(BirthQueue, "cancelled", lambda *_: next(asked))
        patched.setattr(session_finish, "wish_to_stop", signal_after_checkpoint)
        with pytest.raises(FinishInterrupted):
            finish_run(path, SHARE, Execution(1), Watcher())
    return path


def continued_steps(monkeypatch):
    """Returns a list that receives the steps at which trainings go on from a checkpoint."""
    steps, restore = [], Training.restore

    def spied(training, step, arrays):
        steps.append(step)
        restore(training, step, arrays)

    monkeypatch.setattr(Training, "restore", spied)
    return steps


def test_an_ensembles_members_are_finished_each_and_the_best_not_again(finished, copied, monkeypatch):
    trained = trained_on(monkeypatch)
    evolved = package.open(copied).ensemble_of(3)
    assert "evolved" in repr(evolved)
    best = finish_run(copied, SHARE, Execution(1), Watcher(), ensemble_size=3)
    run, history = package.open(copied), History(Workdir(copied))
    members = [member.individual for member in evolved.members]
    assert best == history.finish == finish_of(finished)
    assert trained == [member.id for member in members[1:]]
    assert list(history.finishes) == [member.id for member in members]
    for member, finish in zip(members, history.finishes.values(), strict=True):
        half = member.cost.forward_flops + member.cost.backward_flops
        assert finish.steps == round(SHARE * history.state.total_flops / (half * TINY["batch_size"]))
    ensemble = run.ensemble_of(3)
    assert ensemble.finished
    assert "finished" in repr(ensemble)
    assert [one.individual.id for one in ensemble.members] == [member.id for member in members]
    for network in ensemble.members:
        assert network.evaluate(*load("digits").test) == history.finishes[network.individual.id].test_accuracy
    # A vote of networks that were trained less would drag the others down.
    assert not run.ensemble_of(4).finished
    assert not any(network.finished for network in run.ensemble_of(4).members)
    weights = [(scores.best_weights, scores.ensemble_weights) for scores in (run.test(3), run.test(4))]
    assert weights == [("finished", "finished"), ("finished", "evolved")]
    assert verify(copied) == []


def test_an_interrupted_ensemble_keeps_what_is_finished(copied, monkeypatch):
    def stopped(*_):
        return None

    with monkeypatch.context() as patched:
        patched.setattr(session_finish, "_trained", stopped)
        with pytest.raises(FinishInterrupted):
            finish_run(copied, SHARE, Execution(1), Watcher(), ensemble_size=2)
    before = finish_of(copied)
    assert before is not None
    trained = trained_on(monkeypatch)
    finish_run(copied, SHARE, Execution(1), Watcher(), ensemble_size=2)
    assert len(trained) == 1
    assert finish_of(copied) == before
    # Another share of the best one leaves the other member as it is.
    again = finish_run(copied, 2 * SHARE, Execution(1), Watcher())
    shares = [finish.share for finish in History(Workdir(copied)).finishes.values()]
    assert sorted(shares) == [SHARE, 2 * SHARE]
    assert again == finish_of(copied)
    assert len(list((copied / "finish" / "weights").iterdir())) == 2
    assert verify(copied) == []


def test_verify_trains_each_member_again(copied):
    finish_run(copied, SHARE, Execution(1), Watcher(), ensemble_size=2)
    said = []
    assert verify_run(copied, "best", said.append) == []
    assert sum("finish of individual" in sentence for sentence in said) == 2


def trained_on(monkeypatch):
    """Returns a list that receives the ids of the individuals that are trained on."""
    ids, begin = [], local_lanes.Trainer.begin

    def spied(trainer, individual_id, *arguments):
        ids.append(individual_id)
        return begin(trainer, individual_id, *arguments)

    monkeypatch.setattr(local_lanes.Trainer, "begin", spied)
    return ids


def test_if_it_is_not_finite_the_evolved_weights_stay(evolved, tmp_path, monkeypatch):
    path = Path(shutil.copytree(evolved, tmp_path / "run"))

    def diverge(*_):
        raise DivergedError("the loss is not a finite number")

    monkeypatch.setattr(finishing, "run_to_end", diverge)
    finish = finish_run(path, SHARE, Execution(1), Watcher())
    assert (finish.weights, finish.test_accuracy) == (None, None)
    assert "not a finite number" in finish.failure
    run = package.open(path)
    assert not run.best.finished
    assert run.best.evaluate(*load("digits").test) == run.best.test_accuracy
    assert verify(path) == []


def test_an_extended_run_needs_another_finish(copied):
    resume(copied, EVENTS + 4)
    assert finish_of(copied) is None
    assert not package.open(copied).best.finished
    again = finish_run(copied, SHARE, Execution(1), Watcher())
    assert again.fingerprint == package.open(copied).fingerprint
    assert verify(copied, "best") == []


def test_verify_trains_it_again_bit_for_bit(finished):
    said = []
    assert verify_run(finished, "best", said.append) == []
    assert any("finish" in sentence and "bit for bit" in sentence for sentence in said)


def test_verify_finds_a_finish_that_was_never_trained(copied):
    # Consistent in itself: the evolved weights, renamed.
    run = package.open(copied)
    one, finish = run.best.individual, finish_of(copied)
    shutil.rmtree(copied / "finish" / "weights" / finish.weights)
    shutil.copytree(copied / "weights" / one.weights, copied / "finish" / "weights" / finish.weights)
    store(copied, dataclasses.replace(finish, weights_sha256=one.weights_sha256))
    assert verify(copied) == []
    [finding] = verify(copied, "best")
    assert "finish" in finding


@pytest.mark.parametrize(("field", "value"), [("steps", 1), ("individual_id", 99), ("weights_sha256", "0" * 64)])
def test_verify_finds_an_altered_finish(copied, field, value):
    store(copied, dataclasses.replace(finish_of(copied), **{field: value}))
    [finding] = verify(copied)
    assert "finish" in finding


def test_verify_finds_a_finish_of_an_individual_whose_weights_are_removed(copied):
    history = History(Workdir(copied))
    dead = next(life for life in history.lives.values() if life.death is not None and life.individual != history.best)
    steps = session_finish.finish_steps(history, dead, SHARE)
    store(copied, dataclasses.replace(history.finish, individual_id=dead.individual.id, steps=steps))
    [finding] = verify(copied, "best")
    assert f"of individual {dead.individual.id}, of which the run has no weights" in finding


def test_a_damaged_one_is_named(copied):
    (copied / "finish" / "finish.json").write_text("{")
    with pytest.raises(ValueError, match=r"finish\.json is damaged .* finish the run again"):
        package.open(copied).best  # noqa: B018


def test_a_run_with_nothing_trained_cannot_be_finished(tmp_path):
    start(tmp_path / "run", 2, initial_learning_rate=1e38, train_steps=30)
    with pytest.raises(ValueError, match="nothing to finish"):
        finish_run(tmp_path / "run", SHARE, Execution(1), Watcher())


def test_the_commands_finish_say_so_and_name_the_weights(tmp_path):
    path = tmp_path / "run"
    ended = jaxevo(*run_arguments(path, 6, finish_share=SHARE))
    assert ended.returncode == 0, ended.stderr
    result = json.loads((path / "result.json").read_text())
    assert result["finished_test_accuracy"] == finish_of(path).test_accuracy
    assert "finished test accuracy" in ended.stdout
    again = jaxevo("finish", path, "--share", "1", "--lanes", "1", "--ensemble-size", "3")
    assert again.returncode == 0, again.stderr
    assert f"test accuracy {finish_of(path).test_accuracy:.2%}" in again.stdout
    result = json.loads((path / "result.json").read_text())
    vote = result["finished_ensemble_test_accuracy"]
    assert f"finished ensemble: test accuracy {vote:.2%}" in again.stdout
    flops = [finish.flops for finish in History(Workdir(path)).finishes.values()]
    assert len(flops) == 3
    assert result["finish_flops"] == sum(flops)
    tested = jaxevo("test", path, "--ensemble-size", "3").stdout
    assert "validation, finished weights" in tested
    assert f"majority vote of the 3 best, finished weights: test accuracy {vote:.2%}" in tested
    assert "best, evolved weights: test accuracy" in jaxevo("test", path).stdout
    # The share stays that of the last session, and the finish of the longer run is made again.
    run = package.open(path).resume(max_individuals=8, lanes=1)
    assert finish_of(path).share == SHARE
    assert run.best.finished
    refused = jaxevo("finish", path, "--share", "0")
    assert refused.returncode == 2
    assert "share is 0" in refused.stderr
    refused = jaxevo("finish", path, "--share", "1", "--ensemble-size", "0")
    assert refused.returncode == 2
    assert "--ensemble-size is 0" in refused.stderr


def test_one_that_fails_leaves_the_earlier_one(copied, diverging, monkeypatch):
    earlier, weights, said = finish_of(copied), package.open(copied).best.variables, []
    watcher = Watcher()
    watcher.notice = said.append
    stays = finish_run(copied, 2 * SHARE, Execution(1), watcher)
    assert stays == finish_of(copied) == dataclasses.replace(earlier, failed_share=2 * SHARE)
    failed = f"the finish of individual {earlier.individual_id} failed (the loss is not a finite number)"
    assert said[-1] == f"{failed}: that of share 0.5 stays"
    chex.assert_trees_all_equal(package.open(copied).best.variables, weights)
    assert verify(copied) == []
    # It would fail again, so a resumed run does not try it again, and is finished.
    monkeypatch.setattr(session_finish, "_trained", None)
    assert finish_run(copied, 2 * SHARE, Execution(1), watcher, longer_stays=True) == stays
    write_result(copied)
    assert limit_reached(copied, Limits(finish_share=2 * SHARE)) is not None
    assert limit_reached(copied, Limits(finish_share=3 * SHARE)) is None


def test_a_first_one_that_fails_is_told_and_the_command_fails(evolved, tmp_path, diverging):
    path = Path(shutil.copytree(evolved, tmp_path / "run"))
    watcher, said = Watcher(), []
    watcher.notice = said.append
    finish_run(path, SHARE, Execution(1), watcher, ensemble_size=2)
    for finish in History(Workdir(path)).finishes.values():
        failed = f"the finish of individual {finish.individual_id} failed (the loss is not a finite number)"
        assert f"{failed}: its evolved weights stay" in said
    assert not package.open(path).best.finished
    # It would fail again, so that the same command only tells so.
    ended = jaxevo("finish", path, "--share", SHARE)
    assert ended.returncode == 1, ended.stderr
    failed = f"the finish of individual {finish_of(path).individual_id} failed (the loss is not a finite number)"
    assert f"{failed}: its evolved weights stay" in ended.stdout


def test_a_failure_counts_for_its_share_alone(copied, diverging):
    earlier, said = finish_of(copied), []
    watcher = Watcher()
    watcher.notice = said.append
    stays = finish_run(copied, 2 * SHARE, Execution(1), watcher)
    assert stays.failed(2 * SHARE)
    assert not stays.failed(SHARE)
    said.clear()
    assert finish_run(copied, SHARE, Execution(1), watcher).test_accuracy == earlier.test_accuracy
    assert said == []


def test_one_without_a_test_accuracy_leaves_the_earlier_one_too(copied):
    workdir, earlier = Workdir(copied), finish_of(copied)
    longer = dataclasses.replace(earlier, share=2 * SHARE, steps=2 * earlier.steps, test_accuracy=None)
    assert write_finish(workdir, longer) == finish_of(copied) == dataclasses.replace(earlier, failed_share=2 * SHARE)
    assert package.open(copied).best.finished


def test_a_result_goes_when_a_finish_is_stored_and_a_resumed_run_writes_it_again(copied):
    write_result(copied)
    finish_run(copied, 2 * SHARE, Execution(1), Watcher())
    assert not (copied / "result.json").exists()
    assert verify(copied) == []
    before = package.open(copied)
    ended = jaxevo("resume", copied)
    assert ended.returncode == 0, ended.stderr
    after = package.open(copied)
    assert after.fingerprint == before.fingerprint
    assert after.result["finished_test_accuracy"] == finish_of(copied).test_accuracy


def test_a_run_whose_result_was_cut_short_gets_it_before_anything_else(copied):
    def by_time(lines):
        start, stop = lines[0], lines[-1]
        assert (start["kind"], stop["kind"]) == ("start", "stop")
        start["limits"].update(max_individuals=None, max_seconds=1000.0)
        stop["reason"] = "max_seconds"

    rewrite_journal(copied, by_time)
    before = package.open(copied).fingerprint
    ended = resume_run(copied, Limits(), Execution(1), Watcher())
    assert (ended.stop_reason, ended.progress.state.fingerprint) == ("max_seconds", before)
    # A share of the finish is no more individuals.
    ended = resume_run(copied, Limits(finish_share=0.1), Execution(1), Watcher())
    assert ended.progress.state.fingerprint == before
    # Who has the result gets more individuals, and so does who asks for them.
    write_result(copied)
    rewrite_journal(copied, lambda lines: lines[-2]["limits"].update(max_individuals=EVENTS + 1))
    assert resume_run(copied, Limits(), Execution(1), Watcher()).progress.state.events == EVENTS + 1
    assert resume(copied, EVENTS + 2).progress.state.events == EVENTS + 2


def test_a_signal_after_the_last_step_is_not_lost(evolved, tmp_path, monkeypatch):
    path = Path(shutil.copytree(evolved, tmp_path / "run"))
    store_finish = session_finish._store

    def signalled(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return store_finish(*arguments)

    monkeypatch.setattr(session_finish, "_store", signalled)
    with pytest.raises(FinishInterrupted):
        finish_run(path, SHARE, Execution(1), Watcher())
    assert finish_of(path).test_accuracy is not None
    monkeypatch.setattr(session_finish, "_trained", None)
    finish_run(path, SHARE, Execution(1), Watcher())


def test_what_to_do_after_a_signal_is_said_with_the_options_that_shape_the_bits(copied):
    execution = Execution(lanes=3, devices_per_lane=2, fast=True, executor="ray", ray_workers=4)
    same = "--devices-per-lane 2 --fast --executor ray --ray-workers 4"
    limits = Limits(max_individuals=20)
    assert str(Resume(copied, execution, limits).stopped()).endswith(f"resume {copied} --max-individuals 20 {same}")
    moved = Resume(copied, Execution(2, keep="all"), Limits(), dataset="/other place/images").stopped()
    assert str(moved).endswith(f"jaxevo resume {copied} --dataset '/other place/images' --keep all")
    finish = Finish(copied, execution, 0.5, ensemble_size=3).stopped()
    assert str(finish).endswith(f"jaxevo finish {copied} --share 0.5 --ensemble-size 3 {same}")


def test_a_run_with_code_from_outside_is_resumed_with_trust(copied):
    own = Settings(**TINY | {"fitness": "own.py:same"})
    assert str(Begin(copied, Execution(), own, Limits()).stopped()).endswith("--trust-code")
    assert str(Begin(copied, Execution(), Settings(**TINY), Limits()).stopped()).endswith(str(copied))


def test_memory_that_runs_out_is_answered_with_what_a_finish_can_do():
    birth = SimpleNamespace(id=7)
    error = FinishExecutor._explained(None, RuntimeError("RESOURCE_EXHAUSTED: out of memory"), birth)
    assert "individual 7" in str(error)
    assert "a smaller share" in str(error)
    assert "skip" not in str(error)


def test_damage_is_found_without_running_code_from_outside(tmp_path):
    path, file = tmp_path / "run", tmp_path / "own.py"
    file.write_text(
        "from jaxevo.search.fitness import Fitness\n\n\n"
        "def same():\n    return Fitness(lambda outcome, cost: outcome.accuracy)\n"
    )
    ended = jaxevo(*run_arguments(path, 4, finish_share=SHARE, fitness=f"{file}:same"))
    assert ended.returncode == 0, ended.stderr
    assert verify(path) == []
    finish = json.loads((path / "finish" / "finish.json").read_text())
    finish[0]["weights_sha256"] = 64 * "0"
    (path / "finish" / "finish.json").write_text(json.dumps(finish))
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps(result | {"best_test_accuracy": 1.0}))
    found = verify(path)
    assert len(found) == 2
    assert any(finish[0]["weights"] in one for one in found)
    assert any("best_test_accuracy" in one for one in found)


def test_a_full_disk_names_the_command_to_give_again(copied):
    def full(command):
        with locked(copied, command):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copied / "finish"))

    with pytest.raises(WorkdirError, match=f"and finish with 'jaxevo finish {copied}'"):
        full("finish")
    with pytest.raises(WorkdirError, match=f"and resume with 'jaxevo resume {copied}'"):
        full("resume")


def test_after_a_killed_session_there_is_no_result(evolved, tmp_path):
    path = Path(shutil.copytree(evolved, tmp_path / "run"))
    without_stop(path)
    ended = jaxevo("finish", path, "--share", SHARE)
    assert ended.returncode == 0, ended.stderr
    assert "the last session of the run was killed: jaxevo resume goes on, and writes its result" in ended.stdout
    assert package.open(path).best.finished
    assert not (path / "result.json").exists()


def test_max_seconds_includes_it(tmp_path):
    # A finish a million times as long as the run would never fit, so the first trained individual ends the evolution.
    ended = start_with_limits(tmp_path / "run", finish_share=1e6, max_seconds=3600.0, max_individuals=50)
    assert ended.stop_reason == "max_seconds"
    assert ended.progress.state.events < 50


def start_with_limits(path, **limits):
    from jaxevo.session.run import start_run
    from jaxevo.settings import Limits, Settings

    return start_run(path, Settings(**TINY), Limits(**limits), Execution(2), Watcher())
