"""What a strict type checker sees of the public names."""

import dataclasses
import subprocess
import sys
import tomllib
import typing
from collections.abc import Callable
from pathlib import Path

import pytest

from jaxevo.data.memory import Data
from jaxevo.doors.spec import KINDS
from jaxevo.reports.arguments import EvolveArguments, ExecutionArguments, LimitsArguments, SettingsArguments
from jaxevo.settings import Execution, Limits, Settings

ROOT = Path(__file__).parent.parent

USER = """
from typing import assert_type

import numpy as np
import pandas as pd

import jaxevo

run = jaxevo.evolve("runs/one", preset="small", dataset="digits", seed=1, max_individuals=9, lanes=2, flip=None)
assert_type(run, jaxevo.Run)
assert_type(jaxevo.open("runs/one").resume(max_individuals=20, lanes=1, skip_birth=(3,)), jaxevo.Run)
assert_type(run.replay("runs/two", lanes=1), jaxevo.Run)
assert_type(run.verify(retrain="best"), list[str])
assert_type(run.test(ensemble_size=3).ensemble, float)
assert_type(run.ensemble, jaxevo.Ensemble)
assert_type(run.individual(3), jaxevo.Individual)
assert_type(run.best, jaxevo.Network)
assert_type(run.best.evaluate(np.zeros((1, 8, 8, 1), np.uint8), [3]), float)
labels: np.ndarray = run.ensemble.predict(np.zeros((1, 8, 8, 1), np.uint8))
frame: pd.DataFrame = run.history
"""

WRONG = """
import jaxevo

jaxevo.evolve(populaton_size=3)
jaxevo.evolve(seed="one")
jaxevo.evolve(schedule="best")
jaxevo.evolve(preset="huge")
jaxevo.open("runs/one").resume(max_individual=3)
jaxevo.open("runs/one").resume(seed=3)
jaxevo.open("runs/one").replay("runs/two", max_individuals=3)
jaxevo.open("runs/one").verify(retrain="worst")
jaxevo.evovle()
"""


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [(SettingsArguments, Settings), (LimitsArguments, Limits), (ExecutionArguments, Execution)],
)
def test_keyword_arguments_are_the_fields_of_the_settings(arguments, kind):
    fields = {field.name for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    if kind is Settings:
        # `evolve` takes more than the manifest holds.
        hints["dataset"] = str | Path | Data
        hints |= dict.fromkeys(KINDS, str | Callable[..., object])
    assert typing.get_type_hints(arguments) == {name: hints[name] for name in fields}
    assert arguments.__required_keys__ == frozenset()
    assert fields <= EvolveArguments.__optional_keys__


def errors_of(text: str, folder: Path) -> list[int]:
    """Returns the lines in which mypy finds errors, in strict mode and without this project's configuration."""
    (folder / "user.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    command += ["--ignore-missing-imports", "--no-error-summary", "--hide-error-context", "user.py"]
    environment = {"MYPYPATH": str(ROOT), "PATH": "", "MYPY_CACHE_DIR": str(folder / "cache")}
    found = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert found.stderr == ""
    lines = [line for line in found.stdout.splitlines() if ": error: " in line]
    assert all(line.startswith("user.py:") for line in lines), found.stdout
    return [int(line.split(":")[1]) for line in lines]


def test_a_strict_type_checker_sees_the_types_of_a_users_script(tmp_path):
    assert errors_of(USER, tmp_path) == []
    wrong = [number for number, line in enumerate(WRONG.splitlines(), 1) if line.startswith("jaxevo.")]
    assert errors_of(WRONG, tmp_path) == wrong


def test_the_package_ships_its_types():
    assert (ROOT / "jaxevo" / "py.typed").exists()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["jaxevo"]
