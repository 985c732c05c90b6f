"""The examples of docs/extending.md, run as a user would run them."""

import re
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
from helpers.tiny_runs import TINY

import jaxevo

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/extending.md").read_text()
BLOCKS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = {name: match[0] for name, text in BLOCKS.items() if (match := re.findall(r"jaxevo run (.*?)\"\"\"", text))}
ROWS = {
    "my_fitness.py": "a fitness",
    "my_selection.py": "a selection",
    "my_mutations.py": "a mutation",
    "my_layers.py": "a layer type",
    "my_space.py": "a space",
}

FLAT = """
from jaxevo.search.fitness import Fitness

def flat():
    return Fitness(lambda outcome, cost: 0.5)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in BLOCKS.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_of_a_file_and_every_part_has_one():
    assert PAGE.count("```python") == len(BLOCKS)
    assert COMMANDS.keys() == ROWS.keys() == BLOCKS.keys() - {"my_watch.py", "my_log.py"}


@pytest.mark.parametrize("name", ROWS)
def test_an_example_evolves_and_is_verified(folder, name):
    parts = re.findall(r"--(\w+) (\S+)", COMMANDS[name])
    arguments = {**TINY, "preset": "paper", **dict(parts)}
    run = jaxevo.evolve(folder / "run", max_individuals=12, lanes=1, **arguments)
    assert run.events == 12
    assert run.history["failure"].isna().all()
    (folder / name).unlink()  # The run has its own copy.
    assert jaxevo.verify(run.path, retrain="best", trust_code=True) == []


def test_each_part_does_what_it_says(folder):
    arguments = {**TINY, "preset": "paper", "fitness": "my_fitness.py:recall,of=3"}
    fitness = jaxevo.evolve(folder / "one", max_individuals=7, lanes=1, **arguments)
    outcomes = [life.record.outcome for life in fitness._history.lives.values()]
    for outcome, (_, row) in zip(outcomes, fitness.history.iterrows(), strict=True):
        assert row["fitness"] == pytest.approx(outcome.confusion[3][3] / sum(outcome.confusion[3]), abs=1e-3)


@pytest.mark.slow
def test_a_run_is_watched_and_stopped(folder):
    (folder / "flat.py").write_text(FLAT)
    program = BLOCKS["my_watch.py"].replace('dataset="digits"', 'dataset="digits", fitness="flat.py:flat"')
    (folder / "my_watch.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "my_watch.py"], env=None, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    # The first event is the best, and five without a better one follow.
    assert done.stdout.split()[-2:] == ["6", "stopped"]


def test_every_event_is_a_row_of_a_table_over_two_sessions(folder):
    written: dict = {}
    exec(BLOCKS["my_log.py"], written)
    arguments = {**TINY, "preset": "paper", "lanes": 1, "on_event": written["log"]}
    run = jaxevo.evolve(folder / "run", max_individuals=4, **arguments)
    longer = run.resume(max_individuals=6, lanes=1, on_event=written["log"])
    table = pandas.read_csv("events.csv")
    assert table["event"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["id"].tolist() == longer.history["id"].tolist()


def test_the_table_counts_the_lines_of_the_examples():
    for name, row in ROWS.items():
        code = re.sub(r'^""".*?"""\n', "", BLOCKS[name], flags=re.DOTALL)
        lines = sum(bool(line.strip()) for line in code.splitlines())
        assert re.search(rf"\| {row} \| .* \| 1 file, {lines} lines \|", PAGE), f"{row}: {lines} lines"
