"""The one-way order of the packages, which of them may know which library, and who takes gradients."""

import ast
import pathlib
import subprocess
import sys

import pytest

import jaxevo

PACKAGE = pathlib.Path(jaxevo.__file__).parent
FRAMEWORKS = {"jax", "jaxlib", "flax", "optax", "orbax", "chex", "tensorflow", "tensorflow_datasets", "ray"}


def test_the_contracts_of_import_linter_are_kept():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "module",
    ["search.evolution", "search.state_json", "spaces", "spaces.large_scale.space", "execution.worker"],
)
def test_a_fresh_process_knows_no_framework_after_importing(module):
    code = f"import jaxevo.{module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    loaded = set(done.stdout.split())
    assert f"jaxevo.{module}" in loaded
    assert loaded & FRAMEWORKS == set()


def takers_of_gradients(folder):
    """Returns the files, without their ending, that name a gradient function of JAX, such as `jax.grad`."""
    takers = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = node.attr if isinstance(node, ast.Attribute) else None
            aliases = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if {"grad", "value_and_grad", "vjp", "linearize"} & {named, *aliases}:
                takers.add(file.relative_to(folder).with_suffix("").as_posix())
    return takers


def test_only_training_and_layers_take_gradients():
    takers = {file for file in takers_of_gradients(PACKAGE) if not file.startswith("layers/")}
    assert takers == {"networks/training"}


@pytest.mark.parametrize(
    "text",
    [
        "import jax\njax.grad(f)",
        "import jax as j\nj.value_and_grad(f)",
        "from jax import value_and_grad as vag",
    ],
)
def test_the_takers_of_gradients_are_seen(tmp_path, text):
    (tmp_path / "network.py").write_text(text)
    (tmp_path / "cost.py").write_text("grade = 1")
    assert takers_of_gradients(tmp_path) == {"network"}
