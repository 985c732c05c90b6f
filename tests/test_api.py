"""jaxevo from Python."""

import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.tiny_runs import TINY, rewrite_journal

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
    short = jaxevo.evolve(tmp_path / "short", lanes=1, max_individuals=5, **TINY)
    earlier = jaxevo.open(run.path, 5)
    assert earlier.fingerprint == short.fingerprint
    assert len(earlier.history) == 5
    for individual in earlier.population:
        network = earlier.network(individual)
        # The dead keep their weights as long as a birth in flight inherits them.
        if (run.path / "weights" / individual.weights).exists():
            assert network.variables["params"]
        else:
            with pytest.raises(ValueError, match=f"individual {individual.id} is dead"):
                network.variables  # noqa: B018


def test_before_its_first_event_a_run_has_an_empty_history(run):
    begun = jaxevo.open(run.path, 0)
    assert begun.events == 0
    assert list(begun.history.columns) == list(run.history.columns)
    assert begun.history.empty


def test_the_front_holds_all_that_no_other_dominates_the_cheapest_first(run):
    told = [run.individual(number) for number in run.history["id"]]
    points = [(one.fitness, one.cost.forward_flops) for one in told]
    first = {}
    for one, (fitness, flops) in sorted(zip(told, points, strict=True), key=lambda pair: pair[0].id):
        if not any(f >= fitness and c <= flops and (f, c) != (fitness, flops) for f, c in points):
            first.setdefault((fitness, flops), one)
    assert run.front == sorted(first.values(), key=lambda one: one.cost.forward_flops)
    assert run.front[-1].fitness == run.best.validation_accuracy


def test_evolve_begins_with_an_earlier_run_or_with_a_genotype(run, tmp_path):
    few = {"preset": "paper", "lanes": 1, "max_individuals": TINY["population_size"], **TINY}
    warm = jaxevo.evolve(tmp_path / "warm", from_run=run.path, **few)
    fittest = max(run.population, key=lambda one: (one.fitness, -one.id))
    assert warm.individual(0).genotype == fittest.genotype
    assert (
        str(warm.manifest.warm_start) == f"the {len(run.population)} fittest of run after 12 events, with their weights"
    )
    file = warm.path / "weights" / "initial-000000" / "genotype.json"
    again = jaxevo.evolve(tmp_path / "again", from_genotype=str(file), **few)
    assert again.individual(0).genotype == fittest.genotype
    assert str(again.manifest.warm_start) == "the genotype in genotype.json, with fresh weights"


@pytest.mark.parametrize("max_events", [-1, "3", 2.0, True])
def test_an_earlier_moment_is_a_number_of_events(run, max_events):
    with pytest.raises(ValueError, match=f"max_events is {max_events!r}, but must be a whole number"):
        jaxevo.open(run.path, max_events)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"preset": "huge"}, "preset is 'huge', but must be one of demo, small, large, gpu, paper"),
        ({"population": 3}, "population: no such setting; there are"),
        ({"train_steps": "many"}, "train_steps is 'many', but must be a whole number"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_sentence(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxevo.evolve(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_dir_shows_the_public_names_and_all_of_them_are_there():
    assert {*package_names()} == {*jaxevo.__all__, "__version__"}
    for name in jaxevo.__all__:
        assert getattr(jaxevo, name).__module__.startswith("jaxevo."), name
    with pytest.raises(AttributeError, match="module 'jaxevo' has no attribute 'evovle'"):
        jaxevo.evovle  # noqa: B018


def package_names():
    script = "import jaxevo; print(*dir(jaxevo))"
    shown = subprocess.run([sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True)
    return shown.stdout.split()


def test_resume_goes_on_and_what_was_opened_before_stays(run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    before = jaxevo.open(path)
    after = before.resume(max_individuals=14, lanes=1)
    assert (before.events, after.events) == (12, 14)
    assert before.fingerprint == run.fingerprint == jaxevo.open(path, 12).fingerprint
    assert after.result["individuals"] == 14


def test_replay_gives_the_same_run(run, tmp_path):
    assert run.replay(tmp_path / "again", lanes=1).fingerprint == run.fingerprint


def test_verify_returns_what_is_not_as_it_must_be(run, tmp_path, capsys):
    assert run.verify() == run.verify(retrain="best") == run.verify(1) == jaxevo.verify(run.path) == []
    assert "equal, bit for bit" in capsys.readouterr().out
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    rewrite_journal(path, lambda lines: lines[-1].update(fingerprint="0" * 64))
    with pytest.raises(ValueError, match="the fingerprint after 12 events is"):
        jaxevo.open(path)
    assert any("the fingerprint at the end of the session" in finding for finding in jaxevo.verify(path))


@pytest.mark.parametrize("retrain", ["worst", 0, True, 1.5])
def test_verify_trains_the_best_or_some_again(run, retrain):
    with pytest.raises(ValueError, match=f"retrain is {retrain!r}, but must be best, or a number from 1"):
        run.verify(retrain)


def test_test_measures_the_best_and_the_ensemble(run):
    scores = run.test(ensemble_size=3)
    assert scores.members == tuple(one.individual.id for one in run.ensemble_of(3).members)
    assert scores.best == pytest.approx(run.best.test_accuracy, abs=0.003)
    assert scores.ensemble == run.ensemble_of(3).evaluate(*run.dataset.test)
    assert run.test().members[:3] == scores.members


def test_export_writes_the_best_or_another(run, tmp_path):
    assert (run.export(tmp_path / "best") / "network.py").exists()
    living = next(one for one in run.population if one.weights is not None)
    folder = run.export(tmp_path / "other", living.id)
    assert f"- individual: {living.id}\n" in (folder / "README.md").read_text()
    with pytest.raises(ValueError, match="individual is 99, but the run has 12 finished ones"):
        run.export(tmp_path / "none", 99)


def test_importing_jaxevo_imports_no_jax_and_takes_no_time():
    script = "import sys, jaxevo; assert not {'jax', 'flax', 'numpy', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
