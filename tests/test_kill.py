"""kill -9 at any moment: nothing finished is lost or trained again, and the resumed run ends the same."""

import random
import subprocess
import time
from pathlib import Path

import pytest
from tiny_runs import command, jaxevo, journal_lines, run_arguments, start

import jaxevo as package
from jaxevo.faults import KILL_POINTS

EVENTS = 14
# Long enough for more than one call of the compiled step, each of which is checkpointed.
STEPS = {"train_steps": 40, "checkpoint_seconds": 1e-9}
SIGKILLED = -9
FLAGS = ("--lanes", 2, "--checkpoint-seconds", STEPS["checkpoint_seconds"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> str:
    """The fingerprint of a run that nothing disturbs."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    return start(path, EVENTS, train_steps=STEPS["train_steps"]).progress.state.fingerprint


def check_nothing_was_trained_twice(path: Path, finished_before: list[dict]) -> list[dict]:
    """Records only grow, and nobody stands in them twice; returns them."""
    records = journal_lines(path, "record")
    assert records[: len(finished_before)] == finished_before
    ids = [record["outcome"]["id"] for record in records]
    assert len(ids) == len(set(ids))
    return records


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_run_killed_twice_at_a_kill_point_ends_the_same(tmp_path, undisturbed, point):
    path = tmp_path / "run"
    first = jaxevo(*run_arguments(path, EVENTS, **STEPS), kill_point=f"{point}:2")
    assert first.returncode == SIGKILLED, first.stderr
    finished = check_nothing_was_trained_twice(path, [])
    second = jaxevo("resume", path, *FLAGS, kill_point=f"{point}:1")
    assert second.returncode == SIGKILLED, second.stderr
    finished = check_nothing_was_trained_twice(path, finished)
    last = jaxevo("resume", path, *FLAGS)
    assert last.returncode == 0, last.stderr
    check_nothing_was_trained_twice(path, finished)
    run = package.open(path)
    assert run.events == EVENTS
    assert run.fingerprint == undisturbed
    named = {record["outcome"]["weights"] for record in journal_lines(path, "record")}
    assert {folder.name for folder in (path / "weights").iterdir()} <= named


def test_a_run_killed_before_its_first_record_keeps_its_limits(tmp_path, undisturbed):
    path = tmp_path / "run"
    first = jaxevo(*run_arguments(path, EVENTS, **STEPS), kill_point="before journal record:1")
    assert first.returncode == SIGKILLED, first.stderr
    assert not journal_lines(path, "session")
    last = jaxevo("resume", path, "--lanes", 2)
    assert last.returncode == 0, last.stderr
    assert package.open(path).fingerprint == undisturbed


def test_a_run_killed_at_five_random_moments_ends_the_same(tmp_path):
    events = 60
    expected = start(tmp_path / "undisturbed", events).progress.state.fingerprint
    path = tmp_path / "run"
    moments = random.Random(5)
    arguments: list[object] = [*run_arguments(path, events)]
    finished: list[dict] = []
    for _ in range(5):
        with subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL) as process:
            # From the first record on, so that every kill hits a run at work.
            while not (path / "journal.jsonl").exists() or len(journal_lines(path, "record")) <= len(finished):
                time.sleep(0.02)
            time.sleep(moments.uniform(0, 0.5))
            process.kill()
        assert process.returncode == SIGKILLED, "the run ended before it could be killed"
        finished = check_nothing_was_trained_twice(path, finished)
        arguments = ["resume", path, "--lanes", 2]
    assert len(finished) < events
    last = jaxevo(*arguments)
    assert last.returncode == 0, last.stderr
    check_nothing_was_trained_twice(path, finished)
    assert package.open(path).fingerprint == expected


def test_a_long_training_goes_on_from_its_checkpoint_and_ends_the_same(tmp_path):
    flags = {"train_steps": 4000, "num_workers": 1, "population_size": 2}
    expected = start(tmp_path / "undisturbed", 2, **flags).progress.state.fingerprint
    path = tmp_path / "run"
    arguments = run_arguments(path, 2, lanes=1, checkpoint_seconds=1e-9, **flags)
    killed = jaxevo(*arguments, kill_point="after training checkpoint:6")
    assert killed.returncode == SIGKILLED, killed.stderr
    assert any((path / "training").iterdir())
    last = jaxevo("resume", path, "--lanes", 1)
    assert last.returncode == 0, last.stderr
    assert [attempt["first_step"] > 0 for attempt in journal_lines(path, "attempt")] == [False, True, False]
    assert not any((path / "training").iterdir())
    assert package.open(path).fingerprint == expected


def test_a_damaged_training_checkpoint_is_found_and_trained_over(tmp_path):
    flags = {"train_steps": 4000, "num_workers": 1, "population_size": 2}
    expected = start(tmp_path / "undisturbed", 1, **flags).progress.state.fingerprint
    path = tmp_path / "run"
    arguments = run_arguments(path, 1, lanes=1, checkpoint_seconds=1e-9, **flags)
    assert jaxevo(*arguments, kill_point="after training checkpoint:3").returncode == SIGKILLED
    for file in sorted((path / "training").rglob("*")):
        if file.is_file():
            data = bytearray(file.read_bytes())
            for place in range(len(data)):
                data[place] ^= 0x55
            file.write_bytes(bytes(data))
    last = jaxevo("resume", path, "--lanes", 1)
    assert last.returncode == 0, last.stderr
    assert package.open(path).fingerprint == expected
