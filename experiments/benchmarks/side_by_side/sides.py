"""The sides, the packages they need, and their start in a fresh process."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.benchmarks.side_by_side.search import Search, SearchCost
from experiments.benchmarks.side_by_side.wide import WideWork
from experiments.benchmarks.side_by_side.work import Trained, Work, trained_from_json

JAXEVO = "jaxevo"
FLAX = "flax"
TORCH_THREADS = "torch threads"
TORCH_PROCESSES = "torch processes"
TORCH = (TORCH_THREADS, TORCH_PROCESSES)

SIDES: dict[str, tuple[str, ...]] = {
    "jaxevo": (JAXEVO,),
    "flax": (FLAX,),
    "torch": TORCH,
    "pyglove": (),
    "ray": (),
}
"""The names for `--sides`, with the ways to train of each."""
SEARCHING = ("jaxevo", "pyglove", "ray")
"""Sides that have a search loop to measure."""
_MODULES = {"torch": ("torch",), "pyglove": ("pyglove",), "ray": ("ray", "pydantic", "tensorboardX")}
_TAIL_CHARACTERS = 2_000
_ROOT = Path(__file__).parents[3]


def check_installed(sides: Iterable[str]) -> None:
    """Raises `ValueError` if a package that a side needs is not installed."""
    missing = [
        side for side in sides if any(importlib.util.find_spec(module) is None for module in _MODULES.get(side, ()))
    ]
    if missing:
        left = " ".join(side for side in SIDES if side not in missing)
        raise ValueError(
            f"{' and '.join(missing)} cannot be imported: install what the comparison needs with pip install "
            f"'jaxevo[peers]', or leave it out with --sides {left}"
        )


def train(side: str, work: Work) -> Trained:
    """Trains with one side in a fresh process without a cache of executables."""
    return trained_from_json(_in_process(side, work.to_json()))


def search(side: str, wanted: Search) -> SearchCost:
    """Measures the search loop of one side in a fresh process."""
    return SearchCost(**_in_process(side, dataclasses.asdict(wanted)))


def images_a_second(side: str, work: WideWork) -> float:
    """Measures a network of the bucket `wide` on one side, in a fresh process; a single trainer stays on one core."""
    found: float = _in_process(side, dataclasses.asdict(work), one_core=work.trainers == 1)
    return found


def _in_process(side: str, fields: Any, one_core: bool = False) -> Any:
    """Returns the result of a side's process; raises `RuntimeError` with the end of its output if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        work, result = Path(folder) / "work.json", Path(folder) / "result.json"
        work.write_text(json.dumps(fields))
        command = [sys.executable, "-m", "experiments.benchmarks.side_by_side.process", side, str(work), str(result)]
        if one_core:
            command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *command]
        ended = subprocess.run(
            command, cwd=_ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if ended.returncode:
            raise RuntimeError(f"the process of {side} failed:\n{ended.stdout[-_TAIL_CHARACTERS:]}")
        return json.loads(result.read_text())


def _environment() -> dict[str, str]:
    """Returns the present environment without jaxevo's own settings of JAX, and without a cache of executables."""
    chosen = ("XLA_FLAGS", "NPROC", "JAX_COMPILATION_CACHE_DIR")
    return {name: value for name, value in os.environ.items() if name not in chosen}
