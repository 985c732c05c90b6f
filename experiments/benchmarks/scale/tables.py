"""The benchmark's tables as Markdown."""

from collections.abc import Iterable, Sequence

from experiments.benchmarks.markdown import table
from experiments.benchmarks.scale.durations import Fit
from experiments.benchmarks.scale.idle import Window, idle_share
from experiments.benchmarks.scale.scenarios import Scenario
from experiments.benchmarks.scale.throughput import Load, Throughput
from experiments.benchmarks.scale.workload import Workload


def fit_table(fit: Fit) -> str:
    """Returns a table of a fit."""
    cells = (
        f"{fit.individuals}",
        f"{fit.durations.floor:.2f} s",
        f"{fit.durations.compile_seconds:.2f} s",
        f"{fit.durations.rate:.2g} FLOP/s",
        f"{fit.sigma:.2f}",
        f"{fit.share_new:.0%}",
    )
    return table(("individuals", "floor", "compiling", "rate", "sigma", "new architectures"), [cells])


def throughput_table(measured: Iterable[tuple[Load, Throughput]]) -> str:
    """Returns a table of the host's throughput, a row for each load."""
    header = (
        "population",
        "lanes",
        "order",
        "events",
        "layers",
        "events/s",
        "host an event",
        "forced writes a record",
        "journal a record",
        "snapshot an individual",
        "snapshot takes",
        "memory",
        "lanes wait",
    )
    return table(header, (_throughput_row(load, found) for load, found in measured))


def _throughput_row(load: Load, found: Throughput) -> tuple[str, ...]:
    return (
        f"{load.settings.population_size:,}",
        f"{load.lanes:,}",
        "wall clock" if load.settings.wall_clock else "virtual",
        f"{load.events:,}",
        f"{found.layers:.1f}",
        f"{found.events_a_second:,.0f}",
        f"{found.host_microseconds:.0f} us",
        f"{found.writes_a_record:.2f}",
        f"{found.journal_bytes:.0f} B",
        f"{found.snapshot_bytes:.0f} B",
        f"{found.snapshot_seconds:.2f} s",
        f"{found.memory / 2**20:,.0f} MiB",
        f"{found.idle_share:.1%}",
    )


def idle_table(
    scenario: Scenario, lanes: Sequence[int], births: Sequence[int], sigmas: Sequence[float], workload: Workload
) -> str:
    """Returns a table of waiting shares: a row for lanes and births a lane, a column for clock and sigma."""
    columns = [(clock, sigma) for clock in scenario.clocks for sigma in sigmas]
    header = [
        "lanes",
        "births a lane",
        *(f"{birth:g} + {new:g} s, {rate:.1e}; {s:g}" for (birth, new, rate), s in columns),
    ]
    rows = []
    for number in lanes:
        for births_a_lane in births:
            shares = [
                share_waiting(scenario, workload, number, number * births_a_lane, clock, sigma)
                for clock, sigma in columns
            ]
            rows.append([f"{number:,}", f"{births_a_lane}", *(f"{share:.1%}" for share in shares)])
    return table(header, rows)


def phases_table(
    scenario: Scenario, phases: Sequence[tuple[int, int]], lanes: Sequence[int], births_a_lane: int, sigma: float
) -> str:
    """Returns a table of waiting shares on the first clock, a row for each phase, as generations `[first, last)`."""
    rows = []
    for first, last in phases:
        workload = scenario.workload((first, last))
        shares = [
            share_waiting(scenario, workload, number, number * births_a_lane, scenario.clocks[0], sigma)
            for number in lanes
        ]
        rows.append([f"{first} to {last - 1}", f"{workload.new.mean():.0%}", *(f"{share:.1%}" for share in shares)])
    return table(["generations", "new architectures", *(f"{number} lanes" for number in lanes)], rows)


def share_waiting(
    scenario: Scenario, workload: Workload, lanes: int, workers: int, clock: tuple[float, float, float], sigma: float
) -> float:
    """Returns the share of lane time spent waiting, in [0, 1], over `3 * workers` events, at least 3,000."""
    first = max(1_000, 2 * workers)
    window = Window(first, first + max(3_000, 3 * workers))
    drawn = workload.drawn(window.last + workers, seed=1)
    virtual, seconds = drawn.virtual_seconds(*clock), drawn.seconds(scenario.durations, sigma, seed=2)
    return idle_share(lanes, workers, virtual.tolist(), seconds.tolist(), window)
