"""The one-way order of the modules, read from their imports, and which of them may know which library."""

import ast
import pathlib
import subprocess
import sys

import pytest

import jaxevo

PACKAGE = pathlib.Path(jaxevo.__file__).parent

ORDER = (
    "randomness",
    "settings",
    "genotype",
    "mutation",
    "cost",
    "ordered",
    "in_flight",
    "population",
    "selection",
    "evolution",
    "environment",
    "signals",
    "data",
    "convolution",
    "batch_norm",
    "phenotype",
    "inheritance",
    "training",
    "devices",
    "compilation",
    "faults",
    "durable",
    "journal",
    "attempts",
    "checkpoint",
    "workdir",
    "integrity",
    "history",
    "evaluation",
    "execution",
    "loop",
    "run",
    "verify",
    "result",
    "export",
    "progress",
    "bench",
    "api",
    "commands",
    "cli",
)
"""A module imports only from those before it; a subpackage counts as one module."""

EXEMPT = ("__init__", "__main__")
FRAMEWORK_FREE = ORDER[: ORDER.index("evolution") + 1]
FRAMEWORKS = {"jax", "jaxlib", "flax", "optax", "orbax", "chex", "tensorflow", "tensorflow_datasets", "ray"}


def sources(package):
    """Returns each file of the package with the name of the module or subpackage it belongs to."""
    return [(file.relative_to(package).parts[0].removesuffix(".py"), file) for file in package.rglob("*.py")]


def imported(file, package):
    """Returns the dotted names that a file imports, wherever in it, relative ones made absolute."""
    within = ("jaxevo", *file.relative_to(package).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = within[: len(within) - node.level + 1] if node.level else ()
            origin = ".".join((*base, *([node.module] if node.module else [])))
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


def upward_imports(package, order=ORDER):
    """Returns a sentence for each import that breaks the order, and for each module that it does not name."""
    sentences = []
    for module, file in sources(package):
        if module in EXEMPT:
            continue
        if module not in order:
            sentences.append(f"{file.name} belongs to the module {module}, which the order does not name")
            continue
        for name in sorted(imported(file, package)):
            root, *rest = name.split(".")
            if root != "jaxevo" or (rest and rest[0] in (module, "__version__")):
                continue
            other = rest[0] if rest else "jaxevo"
            if other not in order:
                sentences.append(f"{file.name} imports {name}, which is no module that the order names")
            elif order.index(other) > order.index(module):
                sentences.append(f"{file.name} imports {name}, but {other} stands after {module}")
    return sentences


def users_of(library, package=PACKAGE):
    """Returns the modules that import a library or a part of it."""
    return {
        module
        for module, file in sources(package)
        if any((name + ".").startswith(library + ".") for name in imported(file, package))
    }


def takers_of_gradients(package=PACKAGE):
    """Returns the modules that name a gradient function of JAX, as `jax.grad` or as an imported name."""
    takers = set()
    for module, file in sources(package):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = node.attr if isinstance(node, ast.Attribute) else None
            aliases = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if {"grad", "value_and_grad", "vjp", "linearize"} & {named, *aliases}:
                takers.add(module)
    return takers


def test_every_module_imports_only_from_those_before_it():
    assert upward_imports(PACKAGE) == []


def test_the_modules_up_to_evolution_are_there():
    assert set(FRAMEWORK_FREE) <= {module for module, _ in sources(PACKAGE)}


@pytest.mark.parametrize("library", sorted(FRAMEWORKS))
def test_the_modules_up_to_evolution_import_no_framework(library):
    assert users_of(library) & set(FRAMEWORK_FREE) == set()


def modules_after_importing(*modules):
    """Returns the modules that a fresh process has loaded after importing some."""
    code = f"import {', '.join(modules)}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(done.stdout.split())


def test_a_fresh_process_knows_no_framework_after_importing_the_evolution():
    loaded = modules_after_importing("jaxevo", *(f"jaxevo.{module}" for module in FRAMEWORK_FREE))
    assert "jaxevo.evolution" in loaded
    assert loaded & FRAMEWORKS == set()


def test_only_training_takes_gradients():
    assert takers_of_gradients() <= {"training"}


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        ("orbax", {"checkpoint", "export"}),
        ("tensorflow_datasets", {"data"}),
        ("ray", {"execution"}),
    ],
)
def test_a_library_has_its_place(library, modules):
    assert users_of(library) <= modules


def test_one_file_knows_ray():
    users = {file.name for _, file in sources(PACKAGE) if "ray" in imported(file, PACKAGE)}
    assert users == {"ray.py"}


def test_a_worker_loads_jax_only_when_its_settings_are_made():
    loaded = modules_after_importing("jaxevo.execution.worker")
    assert loaded & {"jax", "jaxlib", "flax", "ray"} == set()


# What the tests above read with must see what it is meant to see.


def package_of(folder, **files):
    for name, text in files.items():
        file = folder / (name.replace("__in__", "/") + ".py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "import jaxevo.evolution",
        "import jaxevo.evolution as e",
        "from jaxevo import evolution",
        "from jaxevo.evolution import init",
        "from . import evolution",
        "from .evolution import init",
        "def late():\n    from jaxevo import evolution",
    ],
)
def test_an_import_from_a_later_module_is_seen(tmp_path, line):
    (sentence,) = upward_imports(package_of(tmp_path, genotype=line))
    assert "genotype.py imports jaxevo.evolution" in sentence
    assert sentence.endswith("but evolution stands after genotype")


def test_an_import_from_a_later_module_is_seen_in_a_subpackage(tmp_path):
    package = package_of(tmp_path, execution__in__ray="from .. import cli\nfrom . import local\nfrom ..run import go")
    assert upward_imports(package) == [
        "ray.py imports jaxevo.cli, but cli stands after execution",
        "ray.py imports jaxevo.run.go, but run stands after execution",
    ]


def test_an_unknown_module_is_seen(tmp_path):
    (sentence,) = upward_imports(package_of(tmp_path, helpers="import math"))
    assert "module helpers, which the order does not name" in sentence


def test_importing_the_package_itself_is_seen(tmp_path):
    assert len(upward_imports(package_of(tmp_path, run="import jaxevo"))) == 1
    assert len(upward_imports(package_of(tmp_path, run="from jaxevo import evolve"))) == 1


def test_imports_from_earlier_modules_and_by_exempt_files_are_allowed(tmp_path):
    package = package_of(
        tmp_path,
        evolution="from jaxevo.genotype import Genotype\nimport jaxevo.cost\nimport numpy",
        __init__="from jaxevo import cli",
        __main__="from jaxevo.cli import main",
    )
    assert upward_imports(package) == []


@pytest.mark.parametrize(
    "line",
    [
        "import orbax",
        "import orbax.checkpoint as ocp",
        "from orbax import checkpoint",
        "from orbax.x import y",
    ],
)
def test_the_users_of_a_library_are_seen(tmp_path, line):
    package = package_of(tmp_path, run=line, cost="import orbaxlike")
    assert users_of("orbax", package) == {"run"}


@pytest.mark.parametrize(
    "text",
    [
        "import jax\njax.grad(f)",
        "import jax as j\nj.value_and_grad(f)",
        "from jax import value_and_grad as vag",
    ],
)
def test_the_takers_of_gradients_are_seen(tmp_path, text):
    assert takers_of_gradients(package_of(tmp_path, phenotype=text, cost="grade = 1")) == {"phenotype"}
