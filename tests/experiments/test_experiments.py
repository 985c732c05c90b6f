"""The experiments' configs load, and the entry point runs one and prints its table."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from helpers.tiny_runs import TINY

import jaxevo
from experiments.__main__ import append, main, run_seed, table
from experiments.experiment import Experiment, load, names
from jaxevo.settings import Execution, Limits, Settings


@pytest.mark.parametrize("name", names())
def test_every_config_loads_and_has_a_lab_note_with_its_command(name):
    experiment = load(name)
    assert isinstance(experiment, Experiment)
    module = __import__(f"experiments.configs.{name}", fromlist=["EXPERIMENT"])
    assert f"python -m experiments {name}" in module.__doc__


def test_an_unknown_experiment_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="must be one of .*cifar10_paper"):
        load("mnist_of_tomorrow")


def test_the_papers_configs_have_the_papers_numbers():
    ten, hundred = load("cifar10_paper").settings, load("cifar100_paper").settings
    assert (ten.population_size, ten.virtual_workers, ten.train_steps, ten.batch_size) == (1000, 250, 25_600, 50)
    assert hundred == dataclasses.replace(ten, dataset="cifar100")


def test_a_seed_is_run_once_and_then_read(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the seed is run again")

    experiment = Experiment(Settings(**TINY), Limits(max_individuals=7, finish_share=0.5))
    first = run_seed(experiment, 5, tmp_path / "five", Execution(2))
    monkeypatch.setattr("experiments.__main__.begin", refuse)
    monkeypatch.setattr("experiments.__main__.carry_out", refuse)
    again = run_seed(experiment, 5, tmp_path / "five", Execution(2))
    assert first["individuals"] == 7
    assert again["fingerprint"] == first["fingerprint"]
    text = table({5: first})
    history = jaxevo.open(tmp_path / "five").history
    initial = history.test_accuracy[history.parent_id.isna()].median()
    assert 0 < initial < 1
    generations = len(jaxevo.open(tmp_path / "five").lineage(first["best_id"])) - 1
    assert f"| 5 | 7 | {generations} | {initial:.1%} | {first['best_validation_accuracy']:.1%}" in text
    best, finished = first["best_test_accuracy"], first["finished_test_accuracy"]
    assert f"median test accuracy: evolved {best:.1%}, finished {finished:.1%}" in text


def test_a_seed_whose_trainings_all_failed_has_a_row_and_counts_as_0(tmp_path):
    settings = Settings(**{**TINY, "initial_learning_rate": 1e38, "train_steps": 30})
    failed = run_seed(Experiment(settings, Limits(max_individuals=3)), 5, tmp_path / "five", Execution(2))
    assert failed["best_id"] is failed["initial_test_accuracy"] is None
    text = table({5: failed})
    assert "| 5 | 3 | none | none | none | none | none |" in text
    assert "median test accuracy: evolved 0.0%, finished 0.0%" in text


def test_a_control_and_a_budget_are_kept_apart_and_rows_are_appended_to_a_file(tmp_path, monkeypatch):
    experiment = Experiment(Settings(**TINY), Limits(max_individuals=3))
    monkeypatch.setattr("experiments.__main__.load", lambda name: experiment)
    file = tmp_path / "rows.jsonl"
    main(["digits", "--seeds", "1", "--folder", str(tmp_path), "--results", str(file)])
    main(["digits", "--seeds", "1", "--folder", str(tmp_path), "--results", str(file), "--selection", "random"])
    main(["digits", "--seeds", "1", "--folder", str(tmp_path), "--results", str(file), "--max-flops", "10"])
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["experiment"] for row in rows] == ["digits", "digits-random", "digits-10"]
    assert [row["individuals"] for row in rows] == [3, 3, 1]
    assert jaxevo.open(tmp_path / "digits-random-1").settings.selection == "random"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "heading", "rows"),
    [
        (("memory", "--individuals", "20", "--programs-in-memory", "2"), "| individuals | layers of the living |", 20),
        (("lanes", "--lanes", "1", "2", "--individuals", "6", "--rounds", "1"), "| lanes | seconds |", 2),
        (("programs", "--streams", "demo", "--architectures", "1"), "| stream | side |", 4),
    ],
    ids=["memory", "lanes", "programs"],
)
def test_what_is_measured_is_printed_as_a_table(arguments, heading, rows, tmp_path):
    """In a process of its own: each must find JAX unloaded, so that it starts as a run needs it."""
    environment = {**os.environ, "JAXEVO_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", f"experiments.benchmarks.{arguments[0]}", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout[done.stdout.index(heading) :].strip().splitlines()
    table_lines = [line for line in printed if line.startswith("|")]
    assert len(table_lines) == 2 + rows
    assert all(line.count("|") == table_lines[0].count("|") for line in table_lines)


def test_rows_of_one_run_are_written_once_and_after_a_line_that_was_cut_off(tmp_path):
    file = tmp_path / "new" / "rows.jsonl"
    row = {"experiment": "digits", "seed": 1, "fingerprint": "f", "finished_test_accuracy": 0.5}
    append(file, row)
    append(file, row | {"wall_seconds": 3.0})
    file.write_text(file.read_text() + '{"experiment": "dig')
    append(file, row | {"seed": 2})
    assert [json.loads(line)["seed"] for line in file.read_text().splitlines()] == [1, 2]


def test_a_run_that_went_on_beyond_its_experiment_is_no_row_of_it(tmp_path):
    experiment = Experiment(Settings(**TINY), Limits(max_individuals=4))
    run_seed(experiment, 5, tmp_path / "five", Execution(2))
    jaxevo.open(tmp_path / "five").resume(max_individuals=6, lanes=2)
    with pytest.raises(ValueError, match="has other limits"):
        run_seed(experiment, 5, tmp_path / "five", Execution(2))
