"""README.md: short, its links lead somewhere, and its example runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    lines = README.splitlines()
    assert len(lines) <= 90
    assert [line for line in lines if len(line) >= 100] == []


def test_its_links_and_pictures_are_there():
    targets = re.findall(r"\]\(([^)]+)\)|(?:src|srcset)=\"([^\"]+)\"", README)
    local = [target for pair in targets for target in pair if target and not target.startswith("https://")]
    assert len(local) > 10
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_its_results_are_those_of_the_page_of_results():
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    rows = [line for line in README.splitlines() if line.startswith("|") and "**" in line]
    assert len(rows) >= 4
    for row in rows:
        (accuracy,) = re.findall(r"\*\*([\d.]+)\*\*", row)
        assert f"**{accuracy}**" in results, row


def test_its_example_runs_in_a_process_of_its_own(tmp_path):
    (example,) = re.findall("```python\n(.*?)```", README, re.DOTALL)
    assert sum(bool(line) for line in example.splitlines()) <= 10
    shorter = example.replace("max_individuals=30", "max_individuals=6, train_steps=20, finish_share=0.01")
    assert shorter != example
    ended = subprocess.run(
        [sys.executable, "-c", shorter],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    assert "[]" in ended.stdout.splitlines(), "a difference was found"
    assert (tmp_path / "network" / "network.py").exists()
