"""The notebooks as they are stored. `make notebooks` executes them."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).parent.parent
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURE = new_output("display_data", {"image/png": ""})
# Names below these are public too.
PUBLIC = ("figures", "sklearn", "data")


@pytest.fixture(scope="module")
def runner():
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / ".ci" / "notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_notebook_for_each_subject():
    assert [path.stem for path in PATHS] == ["compare", "lineage", "quickstart", "your_own_data", "your_own_space"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_a_run_left_it(runner, path):
    assert runner.faults(path) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names_only(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    # A search space is written against the modules of spaces.
    source = "\n".join(cell for cell in cells if not cell.startswith("%%writefile"))
    named = re.findall(r"(?:from|import) jaxevo\.(\w+)|\bjaxevo\.(\w+)\.", source)
    assert {first or second for first, second in named} <= {*PUBLIC}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"outputs": []}, "is stored without a picture"),
        ({"execution_count": 3}, "is not stored as a whole run left it"),
        ({"outputs": [PICTURE, new_output("error", ename="ValueError", evalue="")]}, "with an error: ValueError"),
        ({"outputs": [PICTURE, new_output("stream", text="in /home/someone/runs")]}, "with a path of the machine"),
        ({"outputs": [new_output("display_data", {"image/png": "x" * 300_000})]}, "bytes, but may have 300,000"),
    ],
)
def test_what_is_wrong_with_a_stored_notebook_is_named(runner, tmp_path, change, sentence):
    cell = new_code_cell("1", execution_count=1, outputs=[PICTURE], id="one")
    path = tmp_path / "one.ipynb"
    nbformat.write(new_notebook(cells=[cell]), path)
    assert runner.faults(path) == []
    cell.update(change)
    nbformat.write(new_notebook(cells=[cell]), path)
    (found,) = runner.faults(path)
    assert sentence in found


# The kernel's own packages warn of their own affairs.
@pytest.mark.filterwarnings("default")
def test_a_cell_that_fails_or_warns_fails_the_notebook(runner, tmp_path):
    path = tmp_path / "one.ipynb"
    nbformat.write(
        new_notebook(cells=[new_code_cell("import warnings; warnings.warn('old', DeprecationWarning)")]), path
    )
    (found,) = runner.execute(path, store=False)
    assert "DeprecationWarning" in found
