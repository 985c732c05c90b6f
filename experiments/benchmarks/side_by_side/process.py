"""Runs one side in this process: `python -m experiments.benchmarks.side_by_side.process SIDE WORK RESULT`.

WORK and RESULT are JSON files. JAX and PyTorch are imported only by the sides that need them, with their settings.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_BEGAN = time.perf_counter()


def main(side: str, work_path: Path, result_path: Path) -> None:
    """Does a side's work and writes its result."""
    fields = json.loads(work_path.read_text())
    result: object
    if "trainers" in fields:
        result = _wide(side, fields)
    else:
        result = _search(side, fields) if "individuals" in fields else _train(side, fields)
    result_path.write_text(json.dumps(result))


def _train(side: str, fields: object) -> object:
    from experiments.benchmarks.side_by_side.work import Trained, work_from_json

    work = work_from_json(fields)
    trained: Trained
    if side == "jaxevo":
        from jaxevo.environment import prepare_process

        prepare_process()
        from experiments.benchmarks.side_by_side import engine

        with tempfile.TemporaryDirectory() as folder:
            trained = engine.train(work, _BEGAN, Path(folder))
    elif side == "flax":
        from experiments.benchmarks.side_by_side import flax_loop

        trained = flax_loop.train(work, _BEGAN)
    else:
        from experiments.benchmarks.side_by_side import torch_loop

        train = {"torch threads": torch_loop.train_with_threads, "torch processes": torch_loop.train_in_processes}[side]
        trained = train(work, _BEGAN)
    return trained.to_json()


def _wide(side: str, fields: Any) -> float:
    from experiments.benchmarks.side_by_side.wide import WideWork, images_a_second

    return images_a_second(WideWork(**{**fields, "image_shape": tuple(fields["image_shape"])}), side)


def _search(side: str, fields: object) -> object:
    from experiments.benchmarks.side_by_side import search

    return search.measure(side, search.Search(**fields)).to_json()  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
