"""Verify: what was altered is found and named, however consistently. Replay: all trained again come to the same."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.births import SPACE
from helpers.tiny_runs import (
    began_elsewhere,
    jaxevo,
    journal_lines,
    resume,
    rewrite_journal,
    rewrite_manifest,
    start,
    trained_elsewhere,
)

import jaxevo as package
from jaxevo.reports.result import write_result
from jaxevo.reports.verify import lineages, verify_run
from jaxevo.session.finish import finish_run
from jaxevo.session.progress import Watcher
from jaxevo.session.run import replay_run
from jaxevo.settings import Execution
from jaxevo.storage.checkpoint import WeightStore, variables_sha256
from jaxevo.storage.history import History
from jaxevo.storage.journal import Attempt, read_journal
from jaxevo.storage.workdir import Workdir

EVENTS = 16


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    start(path, EVENTS)
    write_result(path)
    return path


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def verify(path, retrain=None):
    return verify_run(path, retrain, lambda _: None)


def rewrite(path: Path, change) -> None:
    """Changes the first record that `change` takes, in the journal, with a checksum that agrees."""

    def change_one(lines):
        any(change(fields) for fields in lines if fields["kind"] == "record")

    rewrite_journal(path, change_one)


def forge_end(path: Path) -> None:
    """Writes the fingerprint that altered records lead to wherever the journal notes that of the last event."""
    state = History(Workdir(path), check_decisions=False).state

    def change(lines):
        for fields in lines:
            if fields["kind"] in ("stop", "snapshot") and fields["events"] == state.events:
                fields["fingerprint"] = state.fingerprint

    rewrite_journal(path, change)


def test_an_untouched_run_is_as_it_must_be(finished):
    before = {file: file.read_bytes() for file in finished.rglob("*") if file.is_file()}
    assert verify(finished, "best") == []
    assert verify(finished, 3) == []
    assert {file: file.read_bytes() for file in finished.rglob("*") if file.is_file()} == before


def test_a_killed_run_is_as_it_must_be(tmp_path):
    from helpers.tiny_runs import run_arguments

    path = tmp_path / "run"
    jaxevo(*run_arguments(path, EVENTS), kill_point="after journal record:6")
    assert verify(path) == []


def test_an_altered_fitness_is_found(copied):
    def raise_fitness(fields):
        fields["outcome"]["accuracy"] = min(1.0, fields["outcome"]["accuracy"] + 0.3)
        return True

    rewrite(copied, raise_fitness)
    findings = verify(copied)
    assert any("journal: the fingerprint at the end of the session" in finding for finding in findings)
    assert any("result.json: fingerprint" in finding for finding in findings)


def test_a_record_of_nobodys_training_is_found(copied):
    def other_attempt(fields):
        fields["attempt"] = 9
        return True

    rewrite(copied, other_attempt)
    assert any("has a record, but no attempt" in finding for finding in verify(copied))


def test_altered_weights_are_named(copied):
    living = package.open(copied).population[0]
    for file in sorted((copied / "weights" / living.weights / "variables").rglob("*")):
        if file.is_file() and file.stat().st_size > 200:
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.write_bytes(bytes(data))
    assert any(living.weights in finding for finding in verify(copied))


def test_missing_weights_and_an_altered_genotype_beside_them_are_named(copied):
    first, second = list(package.open(copied).population)[:2]
    shutil.rmtree(copied / "weights" / first.weights)
    beside = copied / "weights" / second.weights / "genotype.json"
    fields = json.loads(beside.read_text())
    beside.write_text(json.dumps({**fields, "learning_rate": fields["learning_rate"] * 2}))
    findings = verify(copied)
    assert any(first.weights in finding and "missing" in finding for finding in findings)
    assert any(second.weights in finding and "not those that were saved" in finding for finding in findings)


def test_a_cut_journal_is_found(copied):
    journal = copied / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[: len(lines) // 2]))
    assert any("but the journal leads to" in finding for finding in verify(copied))


def test_an_altered_setting_is_found(copied):
    rewrite_manifest(copied, lambda fields: fields["settings"].update(seed=fields["settings"]["seed"] + 1))
    assert any("is not what the evolution decides" in finding for finding in verify(copied))


def test_a_consistent_forgery_is_found_by_training_again(tmp_path):
    """Weights, their hash and everything that follows are written anew, as if they had been trained."""
    path = tmp_path / "run"
    # Of one worker, so that nobody descends from the forged one; then result and end are written anew.
    start(path, 6, num_workers=1)
    life = list(History(Workdir(path)).lives.values())[-1]
    individual = life.individual
    store = WeightStore(path / "weights", SPACE)
    variables = store.load(individual.weights, individual.weights_sha256, individual.genotype)
    variables["params"]["classifier"]["bias"] = variables["params"]["classifier"]["bias"] + np.float32(0.001)
    shutil.rmtree(path / "weights" / individual.weights)
    store.save(individual.weights, individual.genotype, variables)

    def forge(fields):
        if fields["outcome"]["id"] != individual.id:
            return False
        fields["outcome"]["weights_sha256"] = variables_sha256(variables)
        return True

    rewrite(path, forge)
    shutil.rmtree(path / "snapshots")
    forge_end(path)
    write_result(path)
    assert verify(path) == []
    findings = verify(path, 6)
    assert findings == [finding for finding in findings if f"individual {individual.id}, trained again" in finding]
    assert len(findings) == 1


def test_altered_test_accuracies_are_found(tmp_path):
    """Those of the result are compared, those of journal and finish measured again."""
    path = tmp_path / "run"
    start(path, 6)
    finish_run(path, 0.5, Execution(), Watcher())
    result = write_result(path)
    assert verify(path, "best") == []
    best = result["best_id"]
    shutil.copy(path / "journal.jsonl", tmp_path)

    def forge(fields):
        if fields["outcome"]["id"] != best:
            return False
        fields["test_accuracy"] = 0.97
        return True

    rewrite(path, forge)
    [finish] = json.loads((path / "finish" / "finish.json").read_text())
    (path / "finish" / "finish.json").write_text(json.dumps([{**finish, "test_accuracy": 0.99}]))
    assert verify(path) == [
        f"result.json: best_test_accuracy is {result['best_test_accuracy']}, but must be 0.97",
        f"result.json: finished_test_accuracy is {result['finished_test_accuracy']}, but must be 0.99",
    ]
    write_result(path)
    assert verify(path) == []
    assert verify(path, "best") == [
        f"individual {best}, trained again: its test accuracy is {result['best_test_accuracy']}, but 0.97 is recorded"
    ]
    shutil.copy(tmp_path / "journal.jsonl", path / "journal.jsonl")
    write_result(path)
    assert verify(path, "best") == [
        f"finish: trained again, it has the same weights and test accuracy {result['finished_test_accuracy']}, but "
        "0.99 is recorded"
    ]


def test_on_another_machine_fitness_is_compared_within_a_tolerance(copied):
    began_elsewhere(copied)
    told = []
    assert verify_run(copied, "best", told.append) == []
    assert any("jax is " in sentence and "bits may differ" in sentence for sentence in told)

    def shift(fields):
        fields["outcome"]["weights_sha256"] = "0" * 64
        return True

    rewrite(copied, shift)
    assert not any("trained again" in finding for finding in verify(copied, EVENTS))


def test_a_session_on_another_machine_is_compared_within_a_tolerance(copied):
    """Bits of individuals from the other session are only compared where nothing was inherited from elsewhere."""
    resume(copied, 2 * EVENTS)
    write_result(copied)
    trained_elsewhere(copied, 2)

    def other_bits(lines):
        for fields in lines:
            if fields["kind"] == "record" and fields["session"] == 2:
                fields["outcome"]["loss"] = 0.5

    told = []
    assert verify_run(copied, 2 * EVENTS, told.append) == []
    assert any("when session 2 trained: bits may differ" in sentence for sentence in told)
    assert {sentence.rpartition(", ")[2] for sentence in told if "generations: " in sentence} == {
        "bit for bit",
        "within the tolerance",
    }
    rewrite_journal(copied, other_bits)
    assert not any("trained again" in finding for finding in verify(copied, 2 * EVENTS))
    trained_elsewhere(copied, 1)
    assert not any("trained again" in finding for finding in verify(copied, 2 * EVENTS))


@pytest.mark.parametrize(("first_step", "inexact"), [(500, {7, 8}), (0, set())])
def test_steps_of_another_machine_make_a_training_and_its_heirs_inexact(first_step, inexact):
    attempts = (Attempt(7, 1, 1, 0, ""), Attempt(7, 2, 2, first_step, ""), Attempt(8, 1, 2, 0, ""))
    record = SimpleNamespace(session=2, attempt=2)
    lives = {
        7: SimpleNamespace(birth=SimpleNamespace(inherited=None, parent_id=None), record=record),
        8: SimpleNamespace(
            birth=SimpleNamespace(inherited="weights", parent_id=7), record=SimpleNamespace(session=2, attempt=1)
        ),
    }
    history = SimpleNamespace(journal=SimpleNamespace(attempts=attempts), lives=lives)
    assert lineages._inexact(history, {1}) == inexact


def test_a_finish_is_compared_with_the_machine_that_trained_it(copied):
    """The run began elsewhere, and is finished here: bits are those of this machine."""
    began_elsewhere(copied)
    told = []
    watcher = Watcher()
    watcher.notice = told.append
    finish_run(copied, 0.5, Execution(), watcher)
    assert [sentence for sentence in told if "jax is " in sentence and "other last bits" in sentence]
    told.clear()
    assert verify_run(copied, "best", told.append) == []
    assert next(sentence for sentence in told if sentence.startswith("finish of individual")).endswith("bit for bit")
    [finish] = json.loads((copied / "finish" / "finish.json").read_text())
    finish["machine"]["packages"]["flax"] = "0.0.2"
    (copied / "finish" / "finish.json").write_text(json.dumps([finish]))
    told.clear()
    assert verify_run(copied, "best", told.append) == []
    assert any("flax is " in sentence and "was finished" in sentence for sentence in told)


def test_the_command_says_what_it_found(copied):
    good = jaxevo("verify", copied, "--retrain", "best")
    assert good.returncode == 0, good.stderr
    assert "Verified: no differences found." in good.stdout
    assert "equal, bit for bit" in good.stdout
    shutil.rmtree(copied / "weights" / package.open(copied).best.individual.weights)
    bad = jaxevo("verify", copied)
    assert bad.returncode == 1
    assert "FAILED: the weights" in bad.stdout
    assert jaxevo("verify", copied, "--retrain", 0).returncode == 2


# Replay.


def test_a_replay_ends_with_the_same_fingerprint(finished, tmp_path):
    done = jaxevo("replay", finished, "--workdir", tmp_path / "again", "--lanes", 1)
    assert done.returncode == 0, done.stderr
    assert "The replay has the fingerprint of" in done.stdout
    assert package.open(tmp_path / "again").fingerprint == package.open(finished).fingerprint


def test_a_wall_clock_run_is_replayed_in_its_order(tmp_path):
    """The order of its journal is altered as another machine's would be; one lane alone would not give it."""
    path = tmp_path / "run"
    start(path, EVENTS, wall_clock=True, lanes=2, num_workers=3)
    order = list(History(Workdir(path)).lives)
    assert len(order) == EVENTS
    ended = replay_run(path, tmp_path / "again", Execution(1), Watcher())
    assert list(History(Workdir(tmp_path / "again")).lives) == order
    assert ended.progress.state.fingerprint == package.open(path).fingerprint


def test_an_interrupted_replay_goes_on_in_the_order_of_the_run(tmp_path):
    path, again = tmp_path / "run", tmp_path / "again"
    start(path, EVENTS, wall_clock=True)
    killed = jaxevo("replay", path, "--workdir", again, "--lanes", 2, kill_point="after journal record:5")
    assert killed.returncode == -9
    resumed = jaxevo("resume", again, "--lanes", 1)
    assert resumed.returncode == 0, resumed.stderr
    assert package.open(again).fingerprint == package.open(path).fingerprint


def test_a_skipped_birth_is_skipped_again(finished, tmp_path):
    path = Path(shutil.copytree(finished, tmp_path / "run"))
    # As if the last told had been skipped by the user.
    last = list(History(Workdir(path)).lives)[-1]

    def skip(fields):
        if fields["outcome"]["id"] != last:
            return False
        fields["outcome"] |= {"accuracy": 0.0, "weights": None, "weights_sha256": None, "failure": "skipped"}
        fields |= {"attempt": 0, "test_accuracy": None}
        return True

    rewrite(path, skip)
    forge_end(path)
    replay_run(path, tmp_path / "again", Execution(2), Watcher())
    assert package.open(tmp_path / "again").skipped == [last]
    assert [one["id"] for one in journal_lines(tmp_path / "again", "attempt")].count(last) == 0
    assert package.open(tmp_path / "again").fingerprint == package.open(path).fingerprint


def test_a_replay_into_a_folder_that_holds_a_run_is_refused(finished, copied):
    with pytest.raises(ValueError, match="holds a run already"):
        replay_run(finished, copied, Execution(1), Watcher())


def test_a_run_without_individuals_cannot_be_replayed(finished, tmp_path):
    path = Path(shutil.copytree(finished, tmp_path / "copy"))
    (path / "journal.jsonl").unlink()
    with pytest.raises(ValueError, match="nothing to replay"):
        replay_run(path, tmp_path / "again", Execution(1), Watcher())


def test_the_journal_of_a_run_holds_an_attempt_for_every_record(finished):
    content = read_journal(finished / "journal.jsonl")
    attempts = {(one.id, one.number): one for one in content.attempts}
    assert {(one.outcome.id, one.attempt) for one in content.records.values()} <= attempts.keys()
    assert all(dataclasses.asdict(one)["first_step"] == 0 for one in content.attempts)
