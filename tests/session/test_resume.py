"""Going on with a run: where a killed one had been first, then as far as it is asked for."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from helpers.tiny_runs import SIGKILLED, TINY, jaxevo, journal_lines, resume, rewrite_journal, run_arguments, start

import jaxevo as package
from jaxevo.reports.result import write_result
from jaxevo.reports.verify import verify_run
from jaxevo.session.loop import HostLoop
from jaxevo.session.progress import INTERRUPTED, Watcher
from jaxevo.session.run import resume_run, start_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.journal import JournalError, read_journal
from jaxevo.storage.lock import locked

# Far beyond the last snapshot, so that weights which only earlier events need are gone.
SNAPSHOT, WRITES = 20, 60


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A run that was killed when its journal had been written to so often, long after its last snapshot."""
    path = tmp_path_factory.mktemp("killed") / "run"
    arguments = run_arguments(path, 200, snapshot_interval=SNAPSHOT, train_steps=3)
    ended = jaxevo(*arguments, kill_point=f"after journal record:{WRITES}")
    assert ended.returncode == SIGKILLED, ended.stderr
    return path


@pytest.fixture
def copied(killed, tmp_path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "copy"))


def whole(path):
    """Asserts that nothing is missing where the run stands, and that it can be gone on with."""
    assert verify_run(path, None, lambda _: None) == []
    assert write_result(path)["individuals"] == package.open(path).events
    events = package.open(path).events
    resume(path, events + 2)
    assert package.open(path).events == events + 2


def told(path):
    """Returns how many events the journal leads to."""
    return package.open(path).events


def last_snapshot(path):
    return max(int(folder.name) for folder in (path / "snapshots").iterdir() if folder.name.isdigit())


@pytest.mark.parametrize("limit", [1, 45])
def test_a_lower_limit_leaves_a_killed_run_where_it_was(copied, limit):
    was = told(copied)
    assert last_snapshot(copied) == 40 < 45 < was - 5
    records = journal_lines(copied, "record")
    ended = resume(copied, limit)
    assert (ended.stop_reason, ended.progress.state.events) == ("max_individuals", was)
    assert ended.progress.session_events == 0
    assert journal_lines(copied, "record")[: len(records)] == records
    whole(copied)


def test_a_signal_at_once_leaves_a_killed_run_where_it_was(copied, monkeypatch):
    monkeypatch.setattr("jaxevo.session.session.wish_to_stop", lambda: contextlib.nullcontext(lambda: True))
    was = told(copied)
    ended = resume(copied, 200)
    assert (ended.stop_reason, ended.progress.state.events) == (INTERRUPTED, was)
    monkeypatch.undo()
    whole(copied)


def test_no_seconds_at_all_leave_a_killed_run_where_it_was(copied):
    ended = resume_run(copied, Limits(max_seconds=1e-9), Execution(2), Watcher())
    assert ended.stop_reason == "max_seconds"
    whole(copied)


def test_a_lower_limit_that_is_killed_too_loses_nothing(copied):
    """The limits of the session that was killed while it caught up do not count alone."""
    killed_again = jaxevo("resume", copied, "--max-individuals", 45, kill_point="before snapshot:1")
    assert killed_again.returncode == SIGKILLED
    # As if it had been killed before it noted its end.
    journal = copied / "journal.jsonl"
    lines = [line for line in journal.read_text().splitlines(keepends=True) if '"kind": "stop"' not in line]
    journal.write_text("".join(lines))
    was = told(copied)
    assert resume(copied, 46).progress.state.events == was > 50
    whole(copied)


class OneEvent(Watcher):
    """Also the clock of a session whose time is over once an event has been told."""

    seconds = 0.0

    def progressed(self, progress):
        if progress.session_events:
            self.seconds = 10.0


@pytest.mark.parametrize(
    ("limit", "other"),
    [
        ({"target_accuracy": 0.01}, {"max_individuals": 9}),
        ({"max_flops": 1.0}, {"max_individuals": 9}),
        ({"max_individuals": 3}, {"max_flops": 1e300, "target_accuracy": 1.0, "max_seconds": 2.0}),
    ],
)
def test_the_limit_that_ended_a_run_gives_way_to_another(tmp_path, monkeypatch, limit, other):
    path = tmp_path / "run"
    ended = start_run(path, Settings(**TINY), Limits(**limit), Execution(2), Watcher())
    (name,) = limit
    assert ended.stop_reason == name
    before = ended.progress.state.events
    # Without another it stands, with a result and without.
    assert resume(path).progress.state.events == before
    write_result(path)
    again = resume(path)
    assert (again.stop_reason, again.progress.state.events) == (name, before)
    watcher = OneEvent()
    monkeypatch.setattr("jaxevo.session.run.SessionClock", lambda: watcher)
    further = resume_run(path, Limits(**other), Execution(2), watcher)
    assert further.stop_reason in other
    assert further.progress.state.events > before


def test_limits_that_did_not_end_the_run_stay(tmp_path):
    path = tmp_path / "run"
    start_run(path, Settings(**TINY), Limits(max_individuals=3, target_accuracy=0.999), Execution(2), Watcher())
    resume(path, 5)
    assert [line["limits"]["target_accuracy"] for line in journal_lines(path, "start")] == [0.999, 0.999]
    assert [line["limits"]["max_individuals"] for line in journal_lines(path, "start")] == [3, 5]


def test_a_result_is_never_of_another_event(tmp_path):
    path = tmp_path / "run"
    start(path, 5)
    write_result(path)
    resume(path, 7)
    assert package.open(path).result == {}
    write_result(path)
    assert package.open(path).result["individuals"] == 7


def test_a_run_in_which_all_fail_has_a_result_and_nothing_to_test(tmp_path):
    path = tmp_path / "run"
    ended = jaxevo(*run_arguments(path, 3, initial_learning_rate=1e38, train_steps=30))
    assert ended.returncode == 0, ended.stderr
    assert "No individual has been trained successfully" in ended.stdout
    result = json.loads((path / "result.json").read_text())
    assert result["individuals"] == 3
    assert [name for name, value in result.items() if value is None] == [
        "best_id",
        "best_validation_accuracy",
        "best_fitness",
        "best_test_accuracy",
        "finished_test_accuracy",
        "ensemble_test_accuracy",
        "finished_ensemble_test_accuracy",
        "best_parameters",
        "best_flops_per_image",
    ]
    assert verify_run(path, None, lambda _: None) == []
    tested = jaxevo("test", path)
    assert tested.returncode == 2
    assert "no individual of the run has been trained successfully" in tested.stderr
    assert "Traceback" not in tested.stderr


def test_a_birth_that_is_named_twice_is_skipped_once(copied):
    content = read_journal(copied / "journal.jsonl")
    (first, *_) = sorted({attempt.id for attempt in content.attempts} - content.records.keys())
    resume_run(copied, Limits(max_individuals=told(copied) + 4), Execution(2), Watcher(), skip=(first, first))
    assert package.open(copied).skipped == [first]
    assert verify_run(copied, None, lambda _: None) == []


def test_a_session_that_is_cut_short_before_it_has_caught_up_leaves_the_run_as_it_was(copied, monkeypatch):
    write_result(copied)
    before, was = (copied / "journal.jsonl").read_bytes(), told(copied)
    tell, calls = HostLoop._tell, []

    def cut_short(loop, record):
        calls.append(record)
        if len(calls) == 3:
            raise KeyboardInterrupt
        tell(loop, record)

    monkeypatch.setattr(HostLoop, "_tell", cut_short)
    with pytest.raises(KeyboardInterrupt):
        resume(copied, 200)
    monkeypatch.undo()
    assert (copied / "journal.jsonl").read_bytes() == before
    assert told(copied) == was
    whole(copied)


def test_a_fingerprint_that_differs_is_found_before_anything_is_trained(tmp_path):
    path = tmp_path / "run"
    start(path, 9)
    shutil.rmtree(path / "snapshots" / "9")

    def altered(lines):
        (stop,) = (line for line in lines if line["kind"] == "stop")
        stop["fingerprint"] = "0" * 64

    rewrite_journal(path, altered)
    before = (path / "journal.jsonl").read_bytes()
    with pytest.raises(JournalError, match="the fingerprint after 9 events is"):
        resume(path, 12)
    assert (path / "journal.jsonl").read_bytes() == before


def test_another_share_of_the_finish_does_not_have_a_run_go_on(tmp_path):
    path = tmp_path / "run"
    start(path, 5)
    ended = resume_run(path, Limits(finish_share=0.8), Execution(2), Watcher())
    assert (ended.stop_reason, ended.progress.state.events) == ("max_individuals", 5)


def test_the_result_of_a_run_that_another_process_has_go_on_is_left_to_that_one(tmp_path):
    path = tmp_path / "run"
    start(path, 5)
    with locked(path):
        write_result(path)
    assert package.open(path).result == {}
