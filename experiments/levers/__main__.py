"""The entry point; see the package."""

import dataclasses
import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import experiments.levers
from experiments.benchmarks.apart import in_fresh_process
from experiments.entry import exit_with, program
from experiments.levers.arms import BUNDLES, CONTROLS, DEFAULT, arms, default_settings
from experiments.levers.held_out import available
from experiments.levers.row import Budget, Result, Rows, Wanted, evolve
from experiments.levers.tables import comparison
from experiments.make_fashion_mini import SOURCE
from jaxevo.reports.page.comparison import MOST_PAIRS
from jaxevo.settings import Settings

# Rows of this machine alone: other processors evolve other networks, and a row that is kept is not run again.
_RESULTS = Path("runs") / "levers.jsonl"
# A control whose networks stay tiny would take hours to reach the FLOPs of the default.
_MOST_TIMES_AS_LONG = 10

Evolve = Callable[[Wanted, int | None], Result]
Row = tuple[str, int]
"""Arm and seed."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the rows that are not there yet, and prints the tables; returns 0."""
    parser = program("experiments.levers", experiments.levers.__doc__)
    changes = {**BUNDLES, **CONTROLS}
    parser.add_argument("--controls", action="store_true", help="the controls in place of the parts")
    parser.add_argument("--arms", nargs="+", choices=list(changes), metavar="ARM", help=f"of {', '.join(changes)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)), help="default: 0 to 9")
    parser.add_argument("--cpu-seconds", type=float, default=120.0, help="of each row; default: 120")
    parser.add_argument("--cores", type=int, nargs="+", help="rows run at once, one on each; default: the first core")
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="FILE", help=f"default: {_RESULTS}")
    given = parser.parse_args(arguments)
    if given.cpu_seconds <= 0:
        parser.error(f"--cpu-seconds is {given.cpu_seconds:g}, but must be above 0")
    if not 1 <= len(set(given.seeds)) == len(given.seeds) <= MOST_PAIRS:
        parser.error(f"--seeds must be 1 to {MOST_PAIRS} different numbers")
    if not available():
        print(f"skipped: {SOURCE} is missing, which apt-get install dataset-fashion-mnist brings")
        return 0
    cores = given.cores or sorted(os.sched_getaffinity(0))[:1]
    names = given.arms or list(CONTROLS if given.controls else BUNDLES)
    compared = arms({name: changes[name] for name in names}, default_settings())
    for name in names:
        if name not in compared:
            print(f"{name}: the default has no such part")
    rows = Rows(given.results)
    measured = measure(rows, compared, given.seeds, given.cpu_seconds, cores, _apart)
    print(f"\n## After {given.cpu_seconds:g} CPU seconds\n\n{comparison(measured, list(compared), given.seeds)}")
    if given.controls:
        at_flops = measure_at_flops(rows, compared, measured, given.cpu_seconds, cores, _apart)
        print(f"\n## After the FLOPs of the default\n\n{comparison(at_flops, list(compared), given.seeds)}")
    return 0


def measure(
    rows: Rows,
    compared: Mapping[str, Settings],
    seeds: Sequence[int],
    seconds: float,
    cores: Sequence[int],
    evolve: Evolve,
) -> dict[Row, Result]:
    """Returns the results of the default and of every arm for every seed, after a number of CPU seconds."""
    every = {DEFAULT: default_settings(), **compared}
    # Seed by seed, so that a run that is cut short has whole pairs.
    wanted = [_wanted(arm, every[arm], seed, Budget(seconds)) for seed in seeds for arm in every]
    return run_missing(rows, wanted, cores, evolve)


def measure_at_flops(
    rows: Rows,
    compared: Mapping[str, Settings],
    measured: Mapping[Row, Result],
    seconds: float,
    cores: Sequence[int],
    evolve: Evolve,
) -> dict[Row, Result]:
    """Returns the default's results and those of every arm after the FLOPs that the default of its seed took."""
    default = {row: result for row, result in measured.items() if row[0] == DEFAULT}
    wanted = [
        _wanted(arm, settings, seed, Budget(_MOST_TIMES_AS_LONG * seconds, result.flops))
        for (_, seed), result in default.items()
        for arm, settings in compared.items()
    ]
    return {**default, **run_missing(rows, wanted, cores, evolve)}


def run_missing(rows: Rows, wanted: Sequence[Wanted], cores: Sequence[int], evolve: Evolve) -> dict[Row, Result]:
    """Returns the result of every row, by arm and seed; runs those that are not there, one on each core at once."""
    missing = [one for one in wanted if rows.find(one) is None]
    free: queue.Queue[int] = queue.Queue()
    for core in cores:
        free.put(core)

    def on_a_core(one: Wanted) -> Result:
        core = free.get()
        try:
            return evolve(one, core)
        finally:
            free.put(core)

    with ThreadPoolExecutor(len(cores)) as pool:
        futures = {pool.submit(on_a_core, one): one for one in missing}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                rows.add(futures[future], future.result())
                _say(f"{number} of {len(missing)}", futures[future], future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            for future, one in futures.items():
                if rows.find(one) is None and not future.cancelled() and future.exception() is None:
                    rows.add(one, future.result())
            raise
    results = {(one.arm, one.settings.seed): rows.find(one) for one in wanted}
    return {row: result for row, result in results.items() if result is not None}


def _wanted(arm: str, settings: Settings, seed: int, budget: Budget) -> Wanted:
    return Wanted(arm, dataclasses.replace(settings, seed=seed), budget)


def _apart(wanted: Wanted, core: int | None) -> Result:
    return in_fresh_process(evolve, wanted, core)


def _say(place: str, wanted: Wanted, result: Result) -> None:
    print(
        f"{time.strftime('%H:%M:%S')}  {place}: {wanted.arm}, seed {wanted.settings.seed}: {result.accuracy:.1%}, "
        f"{result.events} individuals, {result.flops / 1e12:.3g} TFLOP, {result.cpu_seconds:.0f} CPU seconds",
        flush=True,
    )


if __name__ == "__main__":
    exit_with(main)
