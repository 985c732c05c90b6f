"""jaxevo from Python."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.tiny_runs import TINY, start

import jaxevo
from jaxevo.data import load


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> jaxevo.Run:
    path = tmp_path_factory.mktemp("api") / "run"
    return jaxevo.evolve(path, lanes=2, max_individuals=12, **TINY)


def test_evolve_and_open_give_the_same_run(run):
    opened = jaxevo.open(run.path)
    assert opened.fingerprint == run.fingerprint
    assert opened.events == run.events == 12
    assert opened.result["fingerprint"] == run.fingerprint


def test_history_has_one_row_an_individual(run):
    history = run.history
    assert list(history["event"]) == list(range(1, 13))
    assert history["id"].is_unique
    assert history["validation_accuracy"].between(0, 1).all()
    initial = history[history["parent_id"].isna()]
    assert len(initial) == TINY["population_size"]
    assert initial["mutation"].isna().all()
    assert set(history.columns) >= {"test_accuracy", "compile_seconds", "train_seconds", "parameters", "death", "flops"}
    assert (history["death"].dropna() >= history.loc[history["death"].notna(), "event"]).all()


def test_best_is_the_fittest_and_the_earliest_among_equals(run):
    fittest = run.history["validation_accuracy"].max()
    assert run.best.validation_accuracy == fittest
    assert run.best.individual.id == run.history.loc[run.history["validation_accuracy"] == fittest, "id"].min()


def test_module_and_variables_give_the_journalled_test_accuracy(run):
    dataset = load(TINY["dataset"])
    images = (dataset.test.images / np.float32(255) - dataset.mean) / dataset.std
    logits = run.best.module.apply(run.best.variables, images, train=False)
    assert np.mean(np.argmax(logits, axis=-1) == dataset.test.labels) == pytest.approx(
        run.best.test_accuracy, abs=0.003
    )


def test_lineage_goes_from_an_initial_individual_to_the_asked_one(run):
    last = max(run.population, key=lambda individual: individual.id)
    line = run.lineage(last.id)
    assert line[0].parent_id is None
    assert line[-1] == last
    assert all(child.parent_id == parent.id for parent, child in itertools.pairwise(line))


def test_an_earlier_moment_can_be_opened(run, tmp_path):
    start(tmp_path / "short", 5)
    earlier = jaxevo.open(run.path, 5)
    assert earlier.fingerprint == jaxevo.open(tmp_path / "short").fingerprint
    assert len(earlier.history) == 5
    for individual in earlier.population:
        network = earlier.network(individual)
        if individual in (*run.population, run.best.individual):
            assert network.variables["params"]
        else:
            with pytest.raises(ValueError, match=f"individual {individual.id} lives no more"):
                network.variables  # noqa: B018


def test_before_its_first_event_a_run_has_an_empty_history(run):
    begun = jaxevo.open(run.path, 0)
    assert begun.events == 0
    assert list(begun.history.columns) == list(run.history.columns)
    assert begun.history.empty


@pytest.mark.parametrize("max_events", [-1, "3", 2.0, True])
def test_an_earlier_moment_is_a_number_of_events(run, max_events):
    with pytest.raises(ValueError, match=f"max_events is {max_events!r}, but must be a whole number"):
        jaxevo.open(run.path, max_events)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"preset": "huge"}, "preset is 'huge', but must be one of demo, small, paper"),
        ({"population": 3}, "population: no such setting; there are"),
        ({"train_steps": "many"}, "train_steps is 'many', but must be a whole number"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_sentence(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxevo.evolve(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_where_jax_runs_with_other_settings_a_process_of_its_own_gives_the_same_run(run, tmp_path):
    script = f"""
import jax
jax.numpy.zeros(3).block_until_ready()
import jaxevo
run = jaxevo.evolve({str(tmp_path / "run")!r}, lanes=2, wall_clock=False, max_individuals=12, **{TINY!r})
print(run.fingerprint)
try:
    jaxevo.evolve({str(tmp_path / "run")!r})
except ValueError as error:
    print("refused:", error)
"""
    # Without what this test session set for itself, as in a user's notebook.
    environment = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert run.fingerprint in lines
    assert "holds a run already" in lines[-1]


def test_a_signal_to_the_process_of_its_own_says_how_to_go_on(tmp_path, monkeypatch):
    import jaxevo.api as api

    monkeypatch.setattr(api, "prepare_process", lambda execution: False)
    monkeypatch.setattr(api, "_command", lambda *_: [sys.executable, "-c", "import sys; sys.exit(130)"])
    with pytest.raises(KeyboardInterrupt, match="nothing that had finished is lost: jaxevo resume"):
        jaxevo.evolve(tmp_path / "run", max_individuals=3)


def test_importing_jaxevo_imports_no_jax_and_takes_no_time():
    script = "import sys, jaxevo; assert not {'jax', 'flax', 'numpy', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
