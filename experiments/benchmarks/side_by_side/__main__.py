"""The entry point; see the package."""

import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import experiments.benchmarks.side_by_side
from experiments.benchmarks.side_by_side import sides as running
from experiments.benchmarks.side_by_side import wide
from experiments.benchmarks.side_by_side.comparison import LONG, SHORT, Cell, ratios
from experiments.benchmarks.side_by_side.search import Search, SearchCost
from experiments.benchmarks.side_by_side.sides import SEARCHING, SIDES
from experiments.benchmarks.side_by_side.streams import NAMES, Bucket, Stream, read_stream
from experiments.benchmarks.side_by_side.tables import accuracy_table, search_table, speed_table, verdicts
from experiments.benchmarks.side_by_side.wide import WideCell, wide_table
from experiments.benchmarks.side_by_side.work import Trained, Work
from experiments.entry import exit_with, program

_SEARCH, _WIDE = "search", "wide"
REGIMES = (SHORT, LONG, _WIDE, _SEARCH)
# Lanes of jaxevo and processes of PyTorch that train at once.
_WIDE_TRAINERS = (1, 2)
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "pyglove", "ray", "numpy")


@dataclass(frozen=True)
class Extent:
    """The amount to measure.

    Attributes:
        regimes: to measure by default.
        rounds: in each of which every side has one turn.
        train_steps: by regime.
        individuals: at most, by regime and bucket.
        searches: by side.
        wide_seconds: of one measurement in the bucket `wide`.
    """

    regimes: tuple[str, ...]
    rounds: int
    train_steps: dict[str, int]
    individuals: dict[str, dict[Bucket, int]]
    searches: dict[str, Search]
    wide_seconds: float = 1.0


FULL = Extent(
    regimes=REGIMES,
    rounds=3,
    train_steps={SHORT: 300, LONG: 3_000},
    individuals={
        SHORT: {Bucket.SMALL: 8, Bucket.MID: 6, Bucket.DEEP: 4},
        LONG: {Bucket.SMALL: 4, Bucket.MID: 4, Bucket.DEEP: 4},
    },
    searches={
        "jaxevo": Search(2_000, 100, 25),
        # PyGlove takes more than ten seconds for a hundred individuals.
        "pyglove": Search(100, 100, 25),
        "ray": Search(100, 100, 25),
    },
)
QUICK = Extent(
    regimes=(SHORT,),
    rounds=1,
    train_steps={SHORT: 100, LONG: 300},
    individuals={regime: dict.fromkeys(Bucket, 2) for regime in (SHORT, LONG)},
    searches={side: Search(20, 20, 5) for side in SEARCHING},
    wide_seconds=0.2,
)


def main(arguments: list[str] | None = None) -> int:
    """Measures what the arguments ask for, and prints the tables; returns 0."""
    parser = program("experiments.benchmarks.side_by_side", experiments.benchmarks.side_by_side.__doc__)
    parser.add_argument("--quick", action="store_true", help="few individuals, few steps, one round")
    parser.add_argument("--streams", nargs="+", choices=NAMES, default=list(NAMES), help="default: all")
    parser.add_argument("--regimes", nargs="+", choices=REGIMES, help="default: all, with --quick short")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), help="default: all")
    parser.add_argument("--rounds", type=int, help="in which every side has its turn; default: 3, with --quick 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every number that was measured")
    given = parser.parse_args(arguments)
    extent = QUICK if given.quick else FULL
    if given.rounds is not None:
        if given.rounds < 1:
            raise ValueError(f"rounds is {given.rounds}, but must be 1 or more")
        extent = dataclasses.replace(extent, rounds=given.rounds)
    if given.regimes is not None:
        extent = dataclasses.replace(extent, regimes=tuple(given.regimes))
    # In the order of their turns, without repeats.
    sides = [side for side in SIDES if side in given.sides]
    running.check_installed(sides)
    streams = [read_stream(name) for name in NAMES if name in given.streams]
    print(" ".join(f"{name} {value}," for name, value in machine().items()).rstrip(","), flush=True)
    report(streams, sides, extent, given.json, _progress)
    return 0


def report(
    streams: Sequence[Stream], sides: Sequence[str], extent: Extent, path: Path | None, progress: Callable[[str], None]
) -> None:
    """Measures, prints the tables, and writes every number to `path`."""
    cells = measure(streams, sides, extent, progress)
    if cells:
        trainers = [trainer for side in sides for trainer in SIDES[side]]
        print(f"\n## Individuals an hour: median (least to most)\n\n{speed_table(cells, trainers)}")
        print(f"\n## Mean validation accuracy\n\n{accuracy_table(cells, trainers)}")
        losses = [f"- {sentence}" for sentence in verdicts(cells)] or ["Nowhere, in what was measured."]
        print("\n## Where jaxevo loses or misses its target\n\n" + "\n".join(losses))
    wide_cells = measure_wide(sides, extent, progress) if _WIDE in extent.regimes else []
    if wide_cells:
        print(f"\n## The bucket wide, images a second: medians\n\n{wide_table(wide_cells, list(wide_cells[0].rounds))}")
    costs = measure_search(sides, extent, progress) if _SEARCH in extent.regimes else {}
    if costs:
        print(f"\n## A search loop, for an individual whose training takes nothing\n\n{search_table(costs)}")
    if path is not None:
        path.write_text(json.dumps(_to_json(cells, wide_cells, costs), indent=1) + "\n")


def measure(
    streams: Sequence[Stream], sides: Sequence[str], extent: Extent, progress: Callable[[str], None]
) -> list[Cell]:
    """Trains every cell on every side, sides in turn within a round."""
    trainers = [trainer for side in sides for trainer in SIDES[side]]
    cells = []
    for regime in (regime for regime in (SHORT, LONG) if regime in extent.regimes):
        for stream in streams:
            for bucket in Bucket:
                genotypes = stream.chosen(bucket, extent.individuals[regime].get(bucket, 0))
                if not genotypes or not trainers:
                    continue
                work = Work(stream.dataset, extent.train_steps[regime], genotypes)
                rounds: dict[str, list[Trained]] = {trainer: [] for trainer in trainers}
                for number in range(extent.rounds):
                    for trainer in trainers:
                        trained = running.train(trainer, work)
                        rounds[trainer].append(trained)
                        progress(
                            f"{stream.name} {bucket.value} {work.train_steps:,} steps, round {number + 1}: {trainer} "
                            f"{len(genotypes)} in {trained.seconds:.1f} s, {trained.individuals_an_hour:,.0f} an hour"
                        )
                repeats = len(genotypes) - len({stream.architecture(genotype) for genotype in genotypes})
                flops = tuple(map(stream.flops_per_image, genotypes))
                cells.append(Cell(stream.name, bucket, regime, work.train_steps, flops, repeats, dict(rounds)))
    return cells


def measure_search(
    sides: Sequence[str], extent: Extent, progress: Callable[[str], None]
) -> dict[str, list[SearchCost]]:
    """Measures the search loop of every side that has one, sides in turn."""
    costs: dict[str, list[SearchCost]] = {side: [] for side in sides if side in SEARCHING}
    for number in range(extent.rounds):
        for side, found in costs.items():
            found.append(running.search(side, extent.searches[side]))
            progress(f"search loop, round {number + 1}: {side} {found[-1].wall:,.0f} us an individual")
    return costs


def measure_wide(sides: Sequence[str], extent: Extent, progress: Callable[[str], None]) -> list[WideCell]:
    """Measures the bucket `wide` on jaxevo and PyTorch, as far as they are among the sides."""
    measured = [side for side in (wide.JAXEVO, wide.TORCH) if side in sides]
    works = list(wide.works(_WIDE_TRAINERS, extent.wide_seconds))
    return wide.measure(works, measured, extent.rounds, running.images_a_second, progress) if measured else []


def machine() -> dict[str, Any]:
    """Returns facts about this machine: cores, load and versions."""
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: version for name, version in versions.items() if version is not None},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _to_json(cells: Sequence[Cell], wide: Sequence[WideCell], costs: dict[str, list[SearchCost]]) -> dict[str, Any]:
    return {
        "machine": machine(),
        "cells": [
            {**dataclasses.asdict(cell), "ratios": [dataclasses.asdict(ratio) for ratio in ratios(cell)]}
            for cell in cells
        ],
        "wide": [dataclasses.asdict(cell) for cell in wide],
        "search": {side: [cost.to_json() for cost in found] for side, found in costs.items()},
    }


def _progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    exit_with(main)
