"""Several runs: groups by setting, intervals, and exact tests."""

import itertools
import shutil

import numpy as np
import pytest
from helpers.simulated_runs import simulated_run

from jaxevo.reports.page.comparison import compare, comparison_page, mean_and_interval, sign_flip_test
from jaxevo.reports.page.files import compare_runs
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    return {
        f"{selection}-{seed}": History(
            Workdir(simulated_run(folder / f"{selection}-{seed}", 30, seed=seed, selection=selection))
        )
        for selection in ("aging", "random")
        for seed in (1, 2, 3)
    }


def test_the_sign_flip_test_tries_all_signs():
    differences = [0.03, 0.01, -0.02, 0.05]
    sums = [
        abs(sum(sign * one for sign, one in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=4)
    ]
    expected = sum(one >= abs(sum(differences)) - 1e-9 for one in sums) / 16
    assert sign_flip_test(differences) == (expected, 1 / 8)
    assert sign_flip_test([0.1, 0.2, 0.3]) == (0.25, 0.25)
    assert sign_flip_test([0.0]) == (1.0, 1.0)
    assert sign_flip_test([]) is None
    assert sign_flip_test([0.1] * 21) is None


def test_the_interval_is_students():
    values = np.array([[0.5, 1.0], [0.7, 1.0], [0.6, 1.0]])
    mean, half = mean_and_interval(values)
    assert mean == pytest.approx([0.6, 1.0])
    # 4.303 is the 97.5 % quantile for two degrees of freedom.
    assert half == pytest.approx([4.303 * 0.1 / np.sqrt(3), 0.0])
    assert np.isnan(mean_and_interval(values[:1])[1]).all()


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(16, 2.120), (17, 2.110), (24, 2.064), (30, 2.042), (31, 2.040), (60, 2.000), (120, 1.980)],
)
def test_the_interval_of_many_runs_is_students_too(freedom, quantile):
    values = np.arange(freedom + 1.0)
    (half,) = mean_and_interval(values[:, None])[1]
    assert half == pytest.approx(quantile * np.std(values, ddof=1) / np.sqrt(freedom + 1), rel=0.0015)


def test_groups_differ_in_settings_and_controls_are_named(runs):
    data = compare(runs)
    assert data["differing"] == ["selection"]
    assert [(group["name"], group["control"], group["seeds"]) for group in data["groups"]] == [
        ("selection aging", False, [1, 2, 3]),
        ("selection random", True, [1, 2, 3]),
    ]
    (test,) = data["tests"]
    assert (test["pairs"], test["smallest"]) == (3, 0.25)


def test_runs_of_other_lengths_are_other_groups(runs, tmp_path):
    longer = {f"longer-{seed}": History(Workdir(simulated_run(tmp_path / str(seed), 60, seed=seed))) for seed in (1, 2)}
    data = compare({name: runs[name] for name in ("aging-1", "aging-2")} | longer)
    assert data["differing"] == ["max_individuals"]
    assert [(group["name"], group["seeds"]) for group in data["groups"]] == [
        ("max individuals 30", [1, 2]),
        ("max individuals 60", [1, 2]),
    ]
    assert data["tests"][0]["pairs"] == 2


def test_a_copy_of_a_run_does_not_count(runs, tmp_path):
    path = shutil.copytree(simulated_run(tmp_path / "run", 30, seed=1), tmp_path / "copy")
    copy = History(Workdir(path))
    data = compare({"one": runs["aging-1"], "copy": copy, "other": runs["aging-2"]})
    assert data["copies"] == [("copy", "one")]
    assert data["groups"] == compare({"one": runs["aging-1"], "other": runs["aging-2"]})["groups"]
    assert [run["name"] for run in data["runs"]] == ["one", "other"]
    with pytest.raises(ValueError, match="the 2 runs that are given are one and the same"):
        compare({"one": runs["aging-1"], "copy": copy})


def test_a_test_takes_the_mean_of_the_runs_of_one_seed(runs, tmp_path):
    shorter = History(Workdir(simulated_run(tmp_path / "run", 30, seed=1)), max_events=2)
    given = {"one": runs["aging-1"], "again": shorter, "control": runs["random-1"]}
    data = compare(given)
    assert (data["copies"], [group["seeds"] for group in data["groups"]]) == ([], [[1, 1], [1]])
    final = {run["name"]: run["test"] for run in data["runs"]}
    assert final["one"] != final["again"]
    assert data["tests"][0]["pairs"] == 1
    assert data["tests"][0]["difference"] == pytest.approx((final["one"] + final["again"]) / 2 - final["control"])


def test_the_course_is_the_test_accuracy_of_the_best_by_validation(runs):
    (history,) = {name: one for name, one in runs.items() if name == "aging-2"}.values()
    lives = list(history.lives.values())
    data = compare({"one": history, "other": runs["aging-1"], "third": runs["random-1"]})
    group = next(group for group in data["groups"] if group["name"] == "selection aging")
    other = list(runs["aging-1"].lives.values())
    for moment, mean in zip(group["moments"], group["mean"], strict=True):
        best = [max(one[:moment], key=lambda life: (life.individual.fitness, -life.event)) for one in (lives, other)]
        assert mean == pytest.approx(np.mean([life.record.test_accuracy for life in best]), abs=1e-6)


def test_one_run_or_none_is_no_comparison(runs, tmp_path):
    with pytest.raises(ValueError, match="1 runs are given, but a comparison needs two or more"):
        compare({"one": runs["aging-1"]})
    path = simulated_run(tmp_path / "run", 12)
    with pytest.raises(ValueError, match="1 runs are given, but a comparison needs two or more with different folders"):
        compare_runs([path, path], tmp_path / "page.html")


def test_the_page_of_a_comparison_is_one_file(runs, tmp_path):
    html = comparison_page(compare(runs))
    assert "selection random" in html
    assert len(html.encode()) < 200_000
    compare_runs([simulated_run(tmp_path / str(seed), 12, seed=seed) for seed in (1, 2)], tmp_path / "page.html")
    assert '"name":"all runs"' in (tmp_path / "page.html").read_text()


def test_folders_of_one_name_are_told_apart_however_deep_they_are(tmp_path):
    folders = [tmp_path / one / "s" / "r" for one in ("a", "b", "c")]
    for seed, folder in enumerate(folders):
        folder.parent.mkdir(parents=True)
        simulated_run(folder, 12, seed=seed)
    compare_runs(folders, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert all(f'"{name}"' in text for name in ("r", "s/r", "c/s/r"))
