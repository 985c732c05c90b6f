"""`jaxevo list`."""

import json
import shutil
import time

import pytest
from helpers.simulated_runs import simulated_run

from jaxevo.cli.main import main
from jaxevo.storage.lock import locked


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = simulated_run(tmp_path_factory.mktemp("listing") / "finished", 30)
    result = {"best_validation_accuracy": 0.75, "individuals": 30}
    (path / "result.json").write_text(json.dumps(result))
    return path


def listed(folder, capsys) -> dict[str, list[str]]:
    """Returns the cells of each row, by the last part of the folder."""
    assert main(["list", str(folder)]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["data", "set", "seed", "individuals", "best", "folder", "state"]
    cells = [row.split(maxsplit=5) for row in rows]
    return {one[4].rpartition("/")[2]: one for one in cells}


def test_each_run_is_a_row_with_what_it_is_and_how_far(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "finished")
    simulated_run(tmp_path / "killed", 20, stopped=False)
    simulated_run(tmp_path / "going-on", 20, stopped=False, seed=7)
    (tmp_path / "no-run").mkdir()
    with locked(tmp_path / "going-on"):
        rows = listed(tmp_path, capsys)
    assert list(rows) == ["finished", "going-on", "killed"]
    assert rows["finished"][:4] == ["digits", "5", "30", "75.0%"]
    assert rows["finished"][5] == "finished (max_individuals)"
    assert rows["killed"][5] == "stopped (killed)"
    assert rows["going-on"][1] == "7"
    assert rows["going-on"][5] == "running"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: (path / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda path: (path / "manifest.json").unlink(), "holds no run (there is no manifest.json)"),
        (lambda path: (path / "journal.jsonl").write_text("{}\n"), "journal.jsonl, line 1, is damaged"),
    ],
)
def test_a_damaged_run_is_a_row_with_a_sentence(finished, tmp_path, capsys, damage, sentence):
    shutil.copytree(finished, tmp_path / "broken")
    shutil.copytree(finished, tmp_path / "whole")
    damage(tmp_path / "broken")
    rows = listed(tmp_path, capsys)
    assert rows["broken"][:4] == ["-"] * 4
    assert rows["broken"][5].startswith("damaged: ")
    assert sentence in rows["broken"][5]
    assert rows["whole"][5].startswith("finished")


def test_runs_are_in_the_order_of_their_numbers(finished, tmp_path, capsys):
    for seed in (10, 9, 100):
        shutil.copytree(finished, tmp_path / f"seed{seed}")
    assert list(listed(tmp_path, capsys)) == ["seed9", "seed10", "seed100"]


def test_a_run_alone_and_a_folder_without_any(finished, tmp_path, capsys, monkeypatch):
    assert list(listed(finished, capsys)) == ["finished"]
    assert main(["list", str(tmp_path)]) == 0
    assert "There is no run in" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 2
    assert "folder is 'runs', but must be a folder that holds runs" in capsys.readouterr().err


def test_hundreds_of_runs_take_a_moment(finished, tmp_path, capsys):
    for number in range(200):
        shutil.copytree(finished, tmp_path / str(number), ignore=lambda *_: {"weights", "snapshots"})
    began = time.process_time()
    assert len(listed(tmp_path, capsys)) == 200
    assert time.process_time() - began < 5  # Here about 0.3 seconds.
