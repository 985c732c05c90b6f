"""Execute the notebooks in `notebooks/`, each in an empty folder, and check what is stored in them.

Each gets a line with its seconds; the first error of one ends it, and the others still run. `--store` writes the
outputs into the notebooks. Names of notebooks, without their ending, choose some of them.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
MOST_BYTES = 300_000
CELL_SECONDS = 600
ABSOLUTE = re.compile(r"/(?:home|root|tmp|Users|var/folders)/[\w.-]+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Executes the notebooks; returns 0, or 1 if one failed or what is stored in one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", action="store_true", help="write the outputs into the notebooks")
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks; by default all")
    given = parser.parse_args(arguments)
    known = sorted(FOLDER.glob("*.ipynb"))
    paths = [path for path in known if not given.names or path.stem in given.names]
    if len(paths) < len(given.names):
        parser.error(f"there are {', '.join(path.stem for path in known)}, but {' '.join(given.names)} are given")
    began, failed = time.monotonic(), 0
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path.stem}", end=" ", flush=True)
        cell_began = time.monotonic()
        wrong = execute(path, given.store) or faults(path)
        print(f"{time.monotonic() - cell_began:.0f} seconds{'' if not wrong else ': failed'}", flush=True)
        for sentence in wrong:
            print(sentence)
        failed += bool(wrong)
    print(f"{len(paths) - failed} of {len(paths)} notebooks ran, {time.monotonic() - began:.0f} seconds in all")
    return int(failed > 0)


def execute(path: Path, store: bool) -> list[str]:
    """Executes a notebook in an empty folder, and returns the error of its first cell that failed, if any."""
    notebook = nbformat.read(path, as_version=4)
    folder = Path(tempfile.mkdtemp(prefix="jaxevo-notebook-"))
    try:
        where = {"metadata": {"path": str(folder)}}
        options = {"timeout": CELL_SECONDS, "record_timing": False, "coalesce_streams": True}
        client = NotebookClient(notebook, resources=where, **options)
        client.extra_arguments = ["--Application.log_level=ERROR"]
        client.execute(env=environment())
    except CellExecutionError as error:
        return [str(error)]
    finally:
        shutil.rmtree(folder)
    if store:
        notebook.metadata["language_info"] = {"name": "python"}  # Not the version that ran it.
        nbformat.write(notebook, path)
    return []


def environment() -> dict[str, str]:
    """Returns the environment of a kernel: this tree's jaxevo; warnings of a cell's own code and of jaxevo are errors.

    Libraries warn of their own affairs.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    places = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": places, "PYTHONWARNINGS": "error:::__main__"}


def faults(path: Path) -> list[str]:
    """Returns a sentence for each thing that is wrong with what is stored in a notebook."""
    name, size = path.name, path.stat().st_size
    found = [f"{name} has {size:,} bytes, but may have {MOST_BYTES:,}"] if size > MOST_BYTES else []
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append(f"{name} is not stored as a whole run left it: make notebooks ARGS=--store")
    outputs = [output for cell in cells for output in cell.outputs]
    if not any({"image/png", "image/svg+xml"} & set(output.get("data", ())) for output in outputs):
        found.append(f"{name} is stored without a picture: make notebooks ARGS=--store")
    for output in outputs:
        if output.output_type == "error":
            found.append(f"{name} is stored with an error: {output.ename}")
        shown = {kind: text for kind, text in output.get("data", {}).items() if kind != "image/png"}
        place = ABSOLUTE.search(output.get("text", "") + str(shown))
        if place is not None:
            found.append(f"{name} is stored with a path of the machine that ran it, in {place[0]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
