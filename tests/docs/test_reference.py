"""docs/api.md: complete, and made of docstrings that say something."""

import dataclasses
import importlib
import inspect
import re
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxevo
from jaxevo.search.space import Task
from jaxevo.spaces.large_scale.space import LargeScale
from jaxevo.storage.history import Row

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")
NAMES = re.findall(r"\.\. auto(?:class|function|data):: ([\w.]+)", PAGE)


def found(name: str) -> Any:
    """Returns the object of a dotted name; skips the test if its extra is not installed."""
    module, _, attribute = name.rpartition(".")
    if module == "jaxevo.sklearn":
        pytest.importorskip("sklearn")
    if module == "jaxevo.figures":
        pytest.importorskip("matplotlib")
    return getattr(importlib.import_module(module), attribute)


def classes() -> dict[str, type]:
    """Returns the classes of the page whose modules need no extra."""
    needless = [name for name in NAMES if not name.startswith(("jaxevo.sklearn.", "jaxevo.figures."))]
    return {name: one for name in needless if inspect.isclass(one := found(name))}


def own(one: type) -> dict[str, Any]:
    """Returns the public attributes of a class by name, with those that it inherits from classes of jaxevo."""
    return {
        name: value
        for base in reversed(one.__mro__)
        if base.__module__.startswith("jaxevo")
        for name, value in vars(base).items()
        if not name.startswith("_")
    }


def fields(one: type) -> list[str]:
    if dataclasses.is_dataclass(one):
        return [field.name for field in dataclasses.fields(one)]
    return list(getattr(one, "_fields", ()))


def results(hint: Any) -> set[type]:
    """Returns the classes of jaxevo in an annotation."""
    if inspect.isclass(hint) and hint.__module__.startswith("jaxevo"):
        return {hint}
    return {one for part in typing.get_args(hint) for one in results(part)}


def test_public_names_are_there_once():
    assert {f"jaxevo.{name}" for name in jaxevo.__all__} <= set(NAMES)
    assert len(NAMES) == len(set(NAMES))


def test_the_modules_of_extras_are_there():
    pytest.importorskip("matplotlib")
    figures = importlib.import_module("jaxevo.figures")
    assert {f"jaxevo.figures.{name}" for name in figures.__all__} <= set(NAMES)
    assert "jaxevo.sklearn.ImageClassifier" in NAMES


def test_the_parts_that_extending_imports_are_there():
    extending = (Path(__file__).parents[2] / "docs/extending.md").read_text(encoding="utf-8")
    imports = re.findall(r"from (jaxevo\.(?:search|spaces\.network_space)[\w.]*) import ([\w, ]+)", extending)
    used = {f"{module}.{name.strip()}" for module, names in imports for name in names.split(",")}
    assert len(used) > 5
    assert used <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_has_a_docstring(name):
    one = found(name)
    assert inspect.getdoc(one) or typing.get_origin(one) is typing.Literal


@pytest.mark.parametrize("name", sorted(classes()))
def test_attributes_are_documented(name):
    one = classes()[name]
    source = "".join(inspect.getsource(base) for base in one.__mro__ if base.__module__.startswith("jaxevo"))
    for attribute, value in own(one).items():
        if attribute in fields(one):
            continue
        if callable(value) or isinstance(value, property | classmethod | staticmethod) or hasattr(value, "func"):
            assert inspect.getdoc(value), attribute
    for attribute in fields(one):
        listed = re.search(rf"^ +{attribute}: \S", inspect.getdoc(one) or "", re.MULTILINE)
        assert listed or re.search(rf'^    {attribute}: [^\n]+\n    """\S', source, re.MULTILINE), attribute


def test_what_runs_and_networks_return_is_there():
    documented = set(classes().values())
    for one in (jaxevo.Run, jaxevo.Network, jaxevo.Ensemble):
        for attribute, value in own(one).items():
            function = getattr(value, "fget", None) or getattr(value, "func", None) or value
            if not inspect.isfunction(function) or attribute in ("parts", "from_parts"):
                continue
            hint = function.__annotations__.get("return")
            names = set(re.findall(r"\b[A-Z]\w+", hint)) if isinstance(hint, str) else set()
            missing = results(hint) - documented
            assert not missing, f"{one.__name__}.{attribute} returns {missing}"
            assert names <= {"DataFrame", "Module", "Run"} | {each.__name__ for each in documented}


def test_the_columns_of_a_history_are_those_of_the_table():
    task = Task((8, 8, 1), 10)
    space = LargeScale(0.1)
    table = PAGE.partition("| column | meaning |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line]
    named = [name for row in rows for name in re.findall("`(.*?)`", row)]
    assert named == [*Row._fields, *space.summary(space.initial(np.random.default_rng(0), task), task)]
