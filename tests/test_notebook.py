"""The quickstart notebook runs from its first cell to its last."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"


# The kernel's own packages warn of their own affairs.
@pytest.mark.filterwarnings("default")
def test_the_quickstart_runs(tmp_path, monkeypatch):
    # The kernel starts elsewhere, with what a user's would have: not with what this session set for itself.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("XLA_FLAGS", "NPROC"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "conv" in printed
    sources = "".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert not re.search(r"jaxevo\.\w+\.|from jaxevo|import jaxevo\.", sources), "more than the public names"
    assert (tmp_path / "network" / "network.py").exists()
