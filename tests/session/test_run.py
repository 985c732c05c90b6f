"""The host loop: the same seed gives the same run, interrupted or not, and a folder is never misused."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.tiny_runs import TINY, command, jaxevo, journal_lines, resume, rewrite_manifest, run_arguments, start

import jaxevo as package
from jaxevo.data import load
from jaxevo.execution.waiting import expected_idle_share
from jaxevo.session.progress import Progress, Watcher
from jaxevo.session.run import start_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.checkpoint import CheckpointError
from jaxevo.storage.history import History
from jaxevo.storage.journal import JournalError
from jaxevo.storage.workdir import Workdir, WorkdirError

EVENTS = 16


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """An undisturbed run of 16 events on two lanes."""
    path = tmp_path_factory.mktemp("finished") / "run"
    assert start(path, EVENTS).stop_reason == "max_individuals"
    return path


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def fingerprint(path: Path, events: int | None = None) -> str:
    return package.open(path, events).fingerprint


def test_the_same_seed_gives_the_same_run(finished, tmp_path):
    assert start(tmp_path / "again", EVENTS).progress.state.fingerprint == fingerprint(finished)


def test_one_lane_gives_the_same_run_as_two(finished, tmp_path):
    start(tmp_path / "one", EVENTS, lanes=1)
    assert fingerprint(tmp_path / "one") == fingerprint(finished)


def test_another_seed_gives_another_run(finished, tmp_path):
    start(tmp_path / "other", EVENTS, seed=4)
    assert fingerprint(tmp_path / "other") != fingerprint(finished)


def test_a_short_run_is_the_prefix_of_a_longer_one_and_can_be_extended(finished, tmp_path):
    path = tmp_path / "short"
    start(path, 9)
    assert fingerprint(path) == fingerprint(finished, 9)
    assert resume(path, EVENTS).stop_reason == "max_individuals"
    assert fingerprint(path) == fingerprint(finished)
    assert package.open(path).events == EVENTS


def test_resuming_a_finished_run_without_a_new_limit_trains_nobody(copied):
    records = len(journal_lines(copied, "record"))
    resume(copied)
    assert len(journal_lines(copied, "record")) == records


def test_history_and_host_loop_agree(finished):
    history = History(Workdir(finished))
    assert history.state.events == EVENTS
    assert [life.event for life in history.lives.values()] == list(range(1, EVENTS + 1))
    alive = {individual.id for individual in history.state.population}
    assert alive == {id for id, life in history.lives.items() if life.death is None}


def test_disk_use_is_bounded_by_the_population(finished):
    kept = sorted((finished / "weights").iterdir())
    told_late = len(journal_lines(finished, "record")) - EVENTS
    assert len(kept) <= TINY["population_size"] + 1 + TINY["num_workers"] + told_late
    alive = {individual.weights for individual in package.open(finished).population}
    assert alive <= {path.name for path in kept}


def test_only_the_last_snapshots_are_kept(finished):
    assert sorted(int(path.name) for path in (finished / "snapshots").iterdir() if path.name.isdigit()) == [12, 16]


def test_genotypes_lie_beside_the_weights(finished):
    run = package.open(finished)
    for individual in run.population:
        fields = json.loads((finished / "weights" / individual.weights / "genotype.json").read_text())
        assert fields == individual.genotype.to_json()


def test_records_hold_a_test_accuracy_that_evolution_is_not_told(finished):
    record = journal_lines(finished, "record")[0]
    assert 0 <= record["test_accuracy"] <= 1
    assert "test_accuracy" not in record["outcome"]


def test_what_the_test_images_are_changes_nothing_but_test_accuracies(tmp_path):
    """Neither training nor selection sees them: the same run comes of it, to the last bit."""
    digits = load("digits")
    images = np.concatenate([digits.train.images, digits.validation.images])
    labels = np.concatenate([digits.train.labels, digits.validation.labels])
    runs = []
    for name, test in (
        ("as they are", digits.test),
        ("upside down", (255 - digits.test.images[::-1], (digits.test.labels + 1) % 10)),
    ):
        arrays = {"train_images": images, "train_labels": labels, "test_images": test[0], "test_labels": test[1]}
        np.savez(tmp_path / f"{name}.npz", **arrays)
        start(tmp_path / name, EVENTS, dataset=str(tmp_path / f"{name}.npz"), train_steps=30)
        runs.append(package.open(tmp_path / name))
    assert runs[0].fingerprint == runs[1].fingerprint
    assert (runs[0].history["test_accuracy"] != runs[1].history["test_accuracy"]).any()


def test_a_deleted_snapshot_is_rebuilt_from_the_journal(copied, finished):
    shutil.rmtree(copied / "snapshots")
    resume(copied)
    assert fingerprint(copied) == fingerprint(finished)


@pytest.mark.parametrize("selection", ["aging", "random"])
def test_other_selections_and_no_inheritance_reproduce_too(tmp_path, selection):
    runs = [start(tmp_path / name, 12, selection=selection, sample_size=3, inheritance="none") for name in "ab"]
    assert runs[0].progress.state.fingerprint == runs[1].progress.state.fingerprint


def test_wall_clock_mode_tells_in_the_journals_order_and_resumes(tmp_path):
    path = tmp_path / "run"
    start(path, 10, wall_clock=True)
    told = list(History(Workdir(path)).lives)
    assert told == [record["outcome"]["id"] for record in journal_lines(path, "record")][:10]
    resume(path, 14)
    assert list(History(Workdir(path)).lives)[:10] == told
    assert package.open(path).events == 14


def test_a_run_in_a_folder_that_holds_one_is_refused(finished):
    with pytest.raises(WorkdirError, match=r"holds a run already: resume it with 'jaxevo resume"):
        start(finished, EVENTS)


def test_a_run_in_a_folder_with_other_files_is_refused_and_changes_nothing(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(WorkdirError, match="not empty"):
        start(tmp_path, EVENTS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_resuming_where_there_is_no_run_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match="holds no run"):
        resume(tmp_path)


def test_a_manifest_of_another_format_is_refused(copied):
    fields = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**fields, "format": 99}))
    with pytest.raises(WorkdirError, match="has format 99, but this version of jaxevo reads format 6"):
        resume(copied)


def test_a_damaged_manifest_is_named(copied):
    (copied / "manifest.json").write_text("{")
    with pytest.raises(WorkdirError, match=r"manifest\.json is damaged"):
        resume(copied)


def test_other_images_are_refused(copied):
    fields = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**fields, "data_fingerprint": "0" * 64}))
    with pytest.raises(WorkdirError, match="is not the one that the run"):
        resume(copied)


def test_other_software_is_noticed_precisely(copied):
    rewrite_manifest(copied, lambda fields: fields["machine"]["packages"].update(optax="0.0.1"))
    notices = []

    class Noticing(Watcher):
        def notice(self, text: str) -> None:
            notices.append(text)

    resume(copied, lanes=1, watcher=Noticing())
    notices = [text for text in notices if "num_workers" not in text]
    assert len(notices) == 1
    assert "optax" in notices[0]
    assert "'0.0.1'" in notices[0]


def test_a_torn_last_line_is_skipped_by_readers_and_cut_off_by_the_writer(copied, finished):
    journal = copied / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"kind": "record", "outc')
    assert fingerprint(copied) is not None
    assert journal.read_bytes() != whole
    resume(copied)
    assert journal.read_bytes().startswith(whole)
    assert b"outc{" not in journal.read_bytes()
    assert fingerprint(copied) == fingerprint(finished)


def test_an_altered_journal_line_is_named(copied):
    journal = copied / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if '"accuracy": 0.' in line)
    lines[place] = lines[place].replace('"accuracy": 0.', '"accuracy": 0.9', 1)
    journal.write_text("".join(lines))
    before = journal.read_bytes()
    with pytest.raises(JournalError, match=f"line {place + 1}, is damaged"):
        resume(copied)
    assert journal.read_bytes() == before


def test_missing_and_altered_weights_are_named(copied):
    parent = package.open(copied).best.individual.weights
    for path in (copied / "weights").iterdir():
        shutil.rmtree(path / "variables")
    with pytest.raises(CheckpointError, match=r"weights .* are missing"):
        resume(copied, EVENTS + 20)
    with pytest.raises(CheckpointError, match=f"{parent} are missing"):
        package.open(copied).best.variables  # noqa: B018


LEARNING = {**TINY, "train_steps": 40}
"""Of a run in which later individuals are fitter."""


def stopped_by(path, **limit):
    """Returns the event at which a limit ends a run, which must be named."""
    limits = Limits(**{"max_individuals": 200, **limit})
    ended = start_run(path, Settings(**LEARNING), limits, Execution(2), Watcher())
    (name,) = limit
    assert ended.stop_reason == name
    return ended.progress.state.events


@pytest.mark.slow
def test_a_run_stops_at_the_first_event_that_meets_a_limit(tmp_path):
    start(tmp_path / "run", 2 * EVENTS, **LEARNING)
    history = package.open(tmp_path / "run").history
    flops, best = history["flops"].cumsum(), history["validation_accuracy"].cummax()
    event = EVENTS // 2
    assert stopped_by(tmp_path / "individuals", max_individuals=event) == event
    assert stopped_by(tmp_path / "flops", max_flops=float(flops[event - 1])) == event
    assert stopped_by(tmp_path / "flops and one", max_flops=float(flops[event - 1] + 1)) == event + 1
    target = best[best > best[0]].iloc[-1]
    assert stopped_by(tmp_path / "accuracy", target_accuracy=float(target)) == int((best < target).sum()) + 1
    assert stopped_by(tmp_path / "seconds", max_seconds=0.01) < 200


def test_an_initial_genotype_over_budget_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="max_parameters is 10"):
        start(tmp_path / "run", 5, max_parameters=10)
    assert not (tmp_path / "run").exists()


def test_images_too_large_for_the_budget_are_said_at_the_start(tmp_path):
    notices = []

    class Noticing(Watcher):
        def notice(self, text: str) -> None:
            notices.append(text)

    start(tmp_path / "run", 5, watcher=Noticing(), max_flops_per_image=100)
    assert any("within the budgets" in text and "smaller than 8 x 8" in text for text in notices)
    notices.clear()
    start(tmp_path / "with room", 5, watcher=Noticing(), max_flops_per_image=1_000_000)
    assert not any("within the budgets" in text for text in notices)


def test_lanes_on_several_devices_give_the_same_run(finished, tmp_path, monkeypatch):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    monkeypatch.setenv("XLA_FLAGS", flags)
    ended = jaxevo(*run_arguments(tmp_path / "run", EVENTS))
    assert ended.returncode == 0, ended.stderr
    assert fingerprint(tmp_path / "run") == fingerprint(finished)


def test_lanes_below_one_are_refused(tmp_path, finished):
    with pytest.raises(ValueError, match="lanes is 0, but must be 1 or more"):
        start(tmp_path / "run", 5, lanes=0)
    with pytest.raises(ValueError, match="lanes is -1"):
        resume(finished, lanes=-1)


def test_few_births_in_flight_a_lane_are_noticed(copied):
    notices = []

    class Noticing(Watcher):
        def notice(self, text: str) -> None:
            notices.append(text)

    resume(copied, lanes=2, watcher=Noticing())
    (notice,) = [text for text in notices if "num_workers is 3 for 2 lanes" in text]
    assert f"some {expected_idle_share(3, 2):.0%} of their time" in notice


def test_progress_is_told_after_every_event(tmp_path):
    seen: list[int] = []

    class Counting(Watcher):
        def progressed(self, progress: Progress) -> None:
            seen.append(progress.state.events)
            assert 0 <= progress.compile_share <= 1

    start(tmp_path / "run", 8, watcher=Counting())
    assert set(seen) == set(range(9)) or set(seen) == set(range(1, 9))


def test_a_full_disk_leaves_the_journal_whole(tmp_path):
    path = tmp_path / "run"
    start(path, 6)
    before = (path / "journal.jsonl").read_bytes()
    limit = len(before) + 700
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "from jaxevo.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = [command()[0], "-c", script, "resume", str(path), "--max-individuals", "40"]
    failed = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert failed.returncode != 0
    assert f"workdir {path} cannot be written (File too large)" in failed.stderr
    assert f"jaxevo resume {path}" in failed.stderr
    assert (path / "journal.jsonl").read_bytes().endswith(b"\n")
    resume(path, 20)
    start(tmp_path / "undisturbed", 20)
    assert fingerprint(path) == fingerprint(tmp_path / "undisturbed")


def test_fast_says_what_it_changes_here_and_changes_nothing_on_a_cpu(finished, tmp_path):
    notices: list[str] = []

    class Noticing(Watcher):
        def notice(self, text):
            notices.append(text)

    settings = Settings(**TINY)
    start_run(tmp_path / "run", settings, Limits(max_individuals=EVENTS), Execution(2, fast=True), Noticing())
    assert any("fast turns nothing off on cpu" in text for text in notices)
    assert fingerprint(tmp_path / "run") == fingerprint(finished)


def test_result_holds_what_scripts_rely_on(tmp_path):
    path = tmp_path / "run"
    ended = jaxevo(*run_arguments(path, 8))
    assert ended.returncode == 0, ended.stderr
    result = json.loads((path / "result.json").read_text())
    assert list(result) == [
        "fingerprint",
        "individuals",
        "stop_reason",
        "best_id",
        "best_validation_accuracy",
        "best_fitness",
        "best_test_accuracy",
        "finished_test_accuracy",
        "ensemble_test_accuracy",
        "finished_ensemble_test_accuracy",
        "ensemble_size",
        "test_images",
        "majority_class",
        "majority_test_accuracy",
        "linear_test_accuracy",
        "linear_flops",
        "best_parameters",
        "best_flops_per_image",
        "total_flops",
        "finish_flops",
        "wall_seconds",
        "finish_seconds",
        "compile_seconds",
        "train_seconds",
        "individuals_per_hour",
    ]
    run = package.open(path)
    assert result["individuals"] == run.events == 8
    assert result["fingerprint"] == run.fingerprint
    assert result["best_validation_accuracy"] == run.history["validation_accuracy"].max()
    history = run.history
    best = history.loc[history["validation_accuracy"].idxmax()]
    assert result["best_id"] == run.best.individual.id == best["id"]
    assert result["best_test_accuracy"] == run.best.test_accuracy == best["test_accuracy"]
    assert (result["best_parameters"], result["best_flops_per_image"]) == (best["parameters"], best["flops_per_image"])
    assert result["best_parameters"] == sum(array.size for array in jax.tree.leaves(run.best.variables["params"]))
    assert 0 <= result["ensemble_test_accuracy"] <= 1
    assert result["stop_reason"] == "max_individuals"
    (stop,) = journal_lines(path, "stop")
    assert result["wall_seconds"] == stop["seconds"] > 0
    assert np.isclose(result["individuals_per_hour"], 3600 * 8 / stop["seconds"])
    assert np.isclose(result["compile_seconds"], history["compile_seconds"].sum())
    assert result["total_flops"] == run.history["flops"].sum()
    assert np.isclose(result["train_seconds"], run.history["train_seconds"].sum())
    assert os.path.getsize(path / "manifest.json") > 0
