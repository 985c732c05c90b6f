"""The figures that `jaxevo figures` writes from work folders."""

import sys

import pytest
from helpers.simulated_runs import simulated_run

import jaxevo
from jaxevo.cli.main import main

pytest.importorskip("matplotlib", reason="needs the extra figures")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    changes = {
        "one": {"seed": 1},
        "two": {"seed": 2},
        "random": {"seed": 1, "selection": "random"},
        "large": {"seed": 1, "population_size": 20},
        "long": {"seed": 1, "train_steps": 12},
    }
    return {name: simulated_run(folder / name, 25, **one) for name, one in changes.items()}


def drawn(capsys, folder, *paths) -> str:
    assert main(["figures", *map(str, paths), "--out", str(folder)]) == 0
    return capsys.readouterr().out


def test_all_figures_are_written_of_runs_that_allow_them(runs, tmp_path, capsys):
    said = drawn(capsys, tmp_path / "figures", *runs.values())
    names = [f"figure{number}.{kind}" for number in (1, 2, 3) for kind in ("pdf", "svg")]
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == names
    assert "left out" not in said


def test_one_run_gives_figure_1_and_says_which_need_more(runs, tmp_path, capsys):
    said = drawn(capsys, tmp_path, runs["one"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["figure1.pdf", "figure1.svg"]
    assert "figure 2 is left out: it needs two or more runs that differ at most in seed" in said
    assert "figure 3 is left out: it needs two or more runs that differ in population-size or in train-steps" in said


def test_a_run_draws_any_individual_dead_or_alive(runs):
    run = jaxevo.open(runs["one"])
    assert [run.drawing(one) for one in run.history["id"]] == [run.network(one).drawing for one in run.history["id"]]
    with pytest.raises(ValueError, match="individual is 99, but the run has 25"):
        run.drawing(99)


def test_runs_are_grouped_by_what_differs(runs):
    from jaxevo.reports.figures.files import depending, repeated

    opened = {name: jaxevo.open(path) for name, path in runs.items()}
    groups = repeated(list(opened.values()))
    assert {name: [run.path.name for run in members] for name, members in groups.items()} == {
        "evolution": ["one", "two"],
        "random selection": ["random"],
    }
    panels = depending(list(opened.values()))
    found = {
        name: {value: sorted(run.path.name for run in one) for value, one in panel.items()}
        for name, panel in panels.items()
    }
    assert found == {
        "population size": {10: ["one", "two"], 20: ["large"]},
        "training steps": {6: ["one", "two"], 12: ["long"]},
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "WORKDIR is missing"),
        (["{one}"], "out is missing"),
        (["{one}/..", "--out", "x"], "no run"),
        (["{one}", "--out", "{one}/manifest.json"], "cannot be made"),
        (["{one}", "--out", "x", "--clock", "hours"], "flops, virtual, individuals"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(runs, tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["figures", *(one.format(**runs) for one in arguments)]) == 2
    assert sentence in capsys.readouterr().err.replace("--", "")


def test_without_matplotlib_one_sentence_names_the_extra(runs, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("jaxevo.reports.figures")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["figures", str(runs["one"]), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "jaxevo: error: figures need matplotlib, which is not installed: pip install 'jaxevo[figures]'\n"
    )
