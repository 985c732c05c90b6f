"""Injects faults of every kind into tiny runs and prints their cost: `python -m experiments.benchmarks.faults`.

Each row of the table is one kind of fault. `--rows` chooses some, `--times` sets the number of faults for all.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from experiments.benchmarks.faults import clock, damage, disk, hosts, kills, places, preemption
from experiments.benchmarks.faults.account import Cost, UnexpectedError
from experiments.benchmarks.faults.scene import Scene
from experiments.entry import exit_with
from jaxevo.environment import prepare_process

Inject = Callable[[Scene, int], Cost]

ROWS: dict[str, tuple[Inject, int]] = {
    "kill -9 at every named point": (kills.kill_points, 5),
    "kill -9 of the host at random moments": (kills.host_at_random_moments, 100),
    "kill -9 in a long training": (kills.long_trainings, 10),
    "five deaths on one birth, then skipped": (kills.five_deaths, 2),
    "disk full": (disk.full, 20),
    "read-only folder": (disk.read_only, 5),
    "journal cut at every byte of its last record": (damage.journal_cut, 5),
    "bit flips in the journal": (damage.journal_bits, 1000),
    "bit flips in a snapshot": (damage.snapshot_bits, 300),
    "bit flips in weights": (damage.weight_bits, 300),
    "clock jumps": (clock.jumps, 5),
    "run and data moved": (places.moved, 5),
    "foreign names in the work folder": (places.foreign_names, 5),
    "cache that cannot be written": (places.unwritable_cache, 5),
    "fork of a process in which JAX runs": (places.forked, 5),
    "two hosts at once": (hosts.two_at_once, 10),
    "SIGTERM at random moments": (preemption.at_random_moments, 20),
    "SIGTERM while deep nets compile": (preemption.while_compiling, 5),
    "kill -9 of Ray workers at random moments": (kills.ray_workers_at_random_moments, 100),
}
"""Each kind of fault: the function that injects it, and how often by default."""


def main(arguments: list[str] | None = None) -> int:
    """Injects the faults that the arguments name; returns 0, or 1 if a run did not end as it must."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.faults", description=__doc__)
    parser.add_argument(
        "--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="NAME", help=", ".join(ROWS)
    )
    parser.add_argument("--times", type=int, help="faults of each kind; default: by kind, 2 to 1,000")
    parser.add_argument("--folder", type=Path, help="where to keep the runs; default: a temporary folder")
    given = parser.parse_args(arguments)
    prepare_process()
    with tempfile.TemporaryDirectory(prefix="jaxevo-faults-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        scene = Scene(folder)
        scene.undisturbed()  # Made now, so that no row's seconds include it.
        lines = [row(name, scene, given.times) for name in given.rows]
    print("\n".join(["", *HEADER, *lines]))
    return 1 if any("**" in line for line in lines) else 0


HEADER = (
    "| fault | injected | hits | individuals lost | in flight, trained again | others trained twice "
    "| fingerprint equal | seconds | |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
)


def row(name: str, scene: Scene, times: int | None) -> str:
    """Injects the faults of one kind; prints and returns their row of the table."""
    inject, usual = ROWS[name]
    began = time.perf_counter()
    try:
        line = _line(name, inject(scene, times or usual), time.perf_counter() - began)
    except disk.NoDiskError as error:
        line = f"| {name} | 0 | | | | | | | not injected: {error} |"
    except UnexpectedError as error:
        print(error, file=sys.stderr)
        line = f"| {name} | | | | | | | | **unexpected answer** |"
    print(line, flush=True)
    return line


def _line(name: str, cost: Cost, seconds: float) -> str:
    cells = (
        name,
        f"{cost.injected:,}",
        f"{cost.hits:,}",
        str(cost.lost) if cost.lost == 0 else f"**{cost.lost}**",
        str(cost.trained_again),
        str(cost.trained_twice) if cost.trained_twice == 0 else f"**{cost.trained_twice}**",
        "yes" if cost.equal else "**no**",
        f"{seconds:.0f}",
        cost.note,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    exit_with(main)
