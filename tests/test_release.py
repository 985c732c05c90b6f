"""The facts of a release agree wherever they stand, and CONTRIBUTING's mutation evolves."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.births import SPACE, task_of
from helpers.genotypes import ONE_CONVOLUTION
from helpers.tiny_runs import TINY

import jaxevo

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
(MUTATION,) = re.findall(r"```python\n# halving\.py\n(.*?)```", CONTRIBUTING, re.DOTALL)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())


def test_the_version_is_the_same_everywhere_and_so_is_its_date():
    assert jaxevo.__version__ == PROJECT["version"] == CITATION["version"]
    first = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first.groups() == (CITATION["version"], CITATION["date-released"])


def test_the_citation_has_title_authors_and_licence_of_the_project_and_the_paper():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["abstract"] == PROJECT["description"]
    assert CITATION["license"] == PROJECT["license"]
    assert [one["name"] for one in CITATION["authors"]] == [one["name"] for one in PROJECT["authors"]]
    (paper,) = CITATION["references"]
    assert paper["authors"][0]["family-names"] == "Real"
    assert (paper["year"], paper["url"]) == (2017, "https://arxiv.org/abs/1703.01041")
    required = {"cff-version", "message", "title", "authors"}
    assert required <= CITATION.keys() and {"type", "title", "authors"} <= paper.keys()


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-newest.txt"])
def test_every_dependency_has_one_exact_version(file):
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    versions = dict(line.split("==") for line in lines)
    assert len(versions) == len(lines)
    pinned = {name.lower().replace("_", "-") for name in versions}
    extras = PROJECT["optional-dependencies"]
    # Those of accelerators are not installed here, and the peers only by hand.
    tested = extras.keys() - {"cuda12", "cuda13", "tpu", "peers"}
    wanted = [*PROJECT["dependencies"], *(one for name in tested for one in extras[name])]
    names = {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in wanted} - {"jaxevo"}
    # Their contracts are checked on the machine's own Python alone.
    assert names - pinned <= ({"import-linter"} if file == "constraints-newest.txt" else set())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_what_is_here_and_pin_what_is_not(path):
    workflow = yaml.safe_load(path.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(re.search(r"@[0-9a-f]{40}$", one) for one in used)
    commands = [step["run"] for step in steps if "run" in step]
    assert ".ci/run" in commands
    assert workflow["permissions"] == {"contents": "read"}
    publishing = [job for job in workflow["jobs"].values() if "permissions" in job]
    # YAML 1.1 reads the key "on" as true.
    assert (publishing != []) == (workflow[True] == {"push": {"tags": ["v*"]}}) == ("make release-check" in commands)


def test_the_mutation_of_contributing_has_ten_lines_and_evolves(tmp_path, monkeypatch):
    assert sum(bool(line.strip()) for line in MUTATION.splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    Path("halving.py").write_text(MUTATION)
    written: dict = {}
    exec(MUTATION, written)
    one = written["with_halving"](SPACE)[-1]
    child = one.apply(np.random.default_rng(0), ONE_CONVOLUTION, task_of((8, 8, 1)))
    assert child.learning_rate == ONE_CONVOLUTION.learning_rate / 2
    arguments = {**TINY, "preset": "paper", "mutations": "halving.py:with_halving", "lanes": 1}
    assert "halving.py:with_halving" in CONTRIBUTING
    run = jaxevo.evolve(tmp_path / "run", max_individuals=7, **arguments)
    assert run.history["failure"].isna().all()
