"""The entry point; see the package."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import experiments.benchmarks.scale
from experiments.benchmarks.scale.durations import Durations, fit
from experiments.benchmarks.scale.scenarios import DIGITS, FITTED, accelerators, cpu
from experiments.benchmarks.scale.tables import fit_table, idle_table, phases_table, throughput_table
from experiments.benchmarks.scale.throughput import Load, measure
from experiments.entry import exit_with, program
from jaxevo.execution.waiting import BIRTHS_A_LANE
from jaxevo.settings import Settings

_SIGMA = 0.3


@dataclass(frozen=True)
class Extent:
    """The rows and columns to measure.

    Attributes:
        loads: population size, events, and True for wall-clock order, for each row of the first table.
        lanes: numbers of lanes, for the rows of the other tables.
        births: births in flight a lane, for the same rows.
        sigmas: deviations of the noise, for their columns.
        phases: phases of a run, as generations `[first, last)`, for the last table.
    """

    loads: tuple[tuple[int, int, bool], ...]
    lanes: tuple[int, ...]
    births: tuple[int, ...]
    sigmas: tuple[float, ...]
    phases: tuple[tuple[int, int], ...]


FULL = Extent(
    loads=(
        (100, 1_000, False),
        (1_000, 10_000, False),
        (1_000, 10_000, True),
        (10_000, 10_000, False),
        (100_000, 20_000, False),
    ),
    lanes=(2, 10, 62, 250, 1_000, 10_000),
    births=(1, 2, 3, 4, 8),
    sigmas=(0.1, 0.3, 0.6),
    phases=((1, 3), (3, 6), (6, 10)),
)
QUICK = Extent(
    loads=((100, 100, False), (100, 100, True)), lanes=(2, 10), births=(2, 4), sigmas=(0.3,), phases=((1, 3),)
)


def main(arguments: list[str] | None = None) -> int:
    """Prints the tables that the arguments ask for; returns 0."""
    parser = program("experiments.benchmarks.scale", experiments.benchmarks.scale.__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rows of every table")
    parser.add_argument("--fit", type=Path, metavar="WORKDIR", help="a run to fit the CPU lanes' times to")
    given = parser.parse_args(arguments)
    durations = FITTED
    if given.fit is not None:
        fitted = fit(given.fit)
        durations = fitted.durations
        print(f"## Times fitted to {given.fit}\n\n{fit_table(fitted)}\n")
    for text in sections(QUICK if given.quick else FULL, durations):
        print(text, flush=True)
    return 0


def sections(extent: Extent, durations: Durations) -> Iterable[str]:
    """Measures, and yields each table with its heading."""
    measured = []
    for size, events, wall_clock in extent.loads:
        lanes = size // 10
        settings = Settings(
            population_size=size, num_workers=BIRTHS_A_LANE * lanes, train_steps=300, wall_clock=wall_clock
        )
        load = Load(settings, DIGITS, lanes, durations, _SIGMA, events)
        measured.append((load, measure(load)))
    yield f"## The host, ten lanes a hundred individuals, sigma {_SIGMA}\n\n{throughput_table(measured)}\n"
    for scenario in (cpu(durations), accelerators()):
        text = idle_table(scenario, extent.lanes, extent.births, extent.sigmas, scenario.workload())
        yield f"## Share of lane time spent waiting. {scenario.name}\n\n{text}\n"
    text = phases_table(cpu(durations), extent.phases, (2, 10, 62, 250), BIRTHS_A_LANE, _SIGMA)
    yield f"## The same by phase of a run, four births a lane, sigma {_SIGMA}, the default clock\n\n{text}\n"


if __name__ == "__main__":
    exit_with(main)
