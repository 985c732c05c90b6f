"""Runs with early stopping: the same on any lanes, interrupted or not, and all that reads them agrees."""

import shutil
from pathlib import Path

import pytest
from helpers.tiny_runs import SIGKILLED, TINY, began_elsewhere, jaxevo, journal_lines, resume, run_arguments, start

import jaxevo as package
from jaxevo.execution.lane import Lane
from jaxevo.networks.trainer import Trainer
from jaxevo.reports.verify import verify_run
from jaxevo.session.progress import Watcher
from jaxevo.session.run import replay_run
from jaxevo.settings import Execution
from jaxevo.spaces.large_scale.mutation import MUTATIONS
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

EVENTS = 24
# Nothing changes the architecture, so that next to nothing is compiled.
KEPT = ("ALTER-LEARNING-RATE", "IDENTITY", "RESET-WEIGHTS")
MUTATIONS_KEPT = "paper," + ",".join(f"{mutation.name}=0" for mutation in MUTATIONS if mutation.name not in KEPT)
FLAGS = {"early_stopping": 0.5, "mutations": MUTATIONS_KEPT}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """An undisturbed run on two lanes."""
    path = tmp_path_factory.mktemp("finished") / "run"
    start(path, EVENTS, **FLAGS)
    return path


def fingerprint(path: Path, events: int | None = None) -> str:
    return package.open(path, events).fingerprint


def test_a_run_stops_some_and_its_history_says_which(finished):
    history = History(Workdir(finished))
    frame = history.frame()
    first, second = TINY["train_steps"] // 4, TINY["train_steps"] // 2
    assert set(frame.steps) >= {first, TINY["train_steps"]}
    for row in frame.itertuples():
        birth = history.lives[row.id].birth
        assert len(row.checks) == {first: 1, second: 2}.get(row.steps, len(birth.thresholds))
        assert (row.flops < birth.flops) == (row.steps < TINY["train_steps"])
        if row.steps < TINY["train_steps"]:
            assert row.validation_accuracy == row.checks[-1]
    assert sum(frame.flops) == history.state.total_flops


def test_one_lane_gives_the_same_run_as_two(finished, tmp_path):
    start(tmp_path / "one", EVENTS, lanes=1, **FLAGS)
    assert fingerprint(tmp_path / "one") == fingerprint(finished)


def test_without_it_the_run_is_another(finished, tmp_path):
    start(tmp_path / "never", EVENTS, mutations=MUTATIONS_KEPT)
    assert fingerprint(tmp_path / "never") != fingerprint(finished)


def test_a_short_run_is_the_prefix_of_a_longer_one_and_can_be_extended(finished, tmp_path):
    path = tmp_path / "short"
    start(path, 14, **FLAGS)
    assert fingerprint(path) == fingerprint(finished, 14)
    resume(path, EVENTS, lanes=1)
    assert fingerprint(path) == fingerprint(finished)


def test_a_killed_run_ends_the_same(finished, tmp_path):
    path = tmp_path / "run"
    arguments = run_arguments(path, EVENTS, checkpoint_seconds=1e-9, **FLAGS)
    # A checkpoint is saved after each check that is passed: the process dies right after one of them.
    outcomes = [life.record.outcome for life in History(Workdir(finished)).lives.values()]
    saved = sum(len(outcome.checks) - (outcome.stopped_at is not None) for outcome in outcomes)
    killed = jaxevo(*arguments, kill_point=f"after training checkpoint:{saved // 2}")
    assert killed.returncode == SIGKILLED, killed.stderr
    assert any((path / "training").iterdir())
    resume(path)
    assert any(line["first_step"] > 0 for line in journal_lines(path, "attempt"))
    assert fingerprint(path) == fingerprint(finished)


def test_verify_trains_stopped_individuals_again_bit_for_bit(finished):
    assert verify_run(finished, EVENTS, lambda _: None) == []


def test_replay_gives_the_same_run(finished, tmp_path):
    replay_run(finished, tmp_path / "replay", Execution(1), Watcher())
    assert fingerprint(tmp_path / "replay") == fingerprint(finished)


def test_on_another_machine_a_retrained_individual_stops_where_the_recorded_one_did(finished, tmp_path, monkeypatch):
    path = Path(shutil.copytree(finished, tmp_path / "copy"))
    began_elsewhere(path)
    recorded = {life.birth.id: life.record.outcome.stopped_at for life in History(Workdir(path)).lives.values()}
    exact, train, stops = Trainer.validated, Lane.train, {}

    def with_other_bits(self, programs, variables):
        validation = exact(self, programs, variables)
        return validation._replace(accuracy=max(0.0, validation.accuracy - 0.04))

    def noting(self, birth, *arguments, **named):
        record = train(self, birth, *arguments, **named)
        stops[birth.id] = record.outcome.stopped_at
        return record

    monkeypatch.setattr(Trainer, "validated", with_other_bits)
    monkeypatch.setattr(Lane, "train", noting)
    assert verify_run(path, EVENTS, lambda _: None) == []
    assert stops == recorded
