"""Print a run or one of its individuals."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxevo.cli.commands import ShowCommand
from jaxevo.reports.network import Network
from jaxevo.reports.run import Run
from jaxevo.reports.svg import network_svg
from jaxevo.reports.terminal import printable
from jaxevo.search.population import Individual
from jaxevo.storage.workdir import Workdir, weight_names

_FILE_WIDTH = 500


def show(command: ShowCommand) -> int:
    """Prints a run, or one individual, as text or as JSON, and draws its network on demand. Returns 0."""
    run = Run(command.workdir)
    network = run.best if command.individual is None else run.network(command.individual)
    if command.svg is not None:
        _draw(network, Path(command.svg).expanduser())
    if command.json:
        fields = _run_fields(run) if command.individual is None else _network_fields(run, network)
        print(json.dumps(fields, indent=2, allow_nan=False))
        return 0
    if command.individual is None:
        _show_run(run, network)
    else:
        _show_individual(run, network)
    if command.svg is not None:
        print(f"network drawn: {command.svg}")
    return 0


def _draw(network: Network, path: Path) -> None:
    one = network.individual
    try:
        path.write_text(network_svg(network.drawing, f"individual {one.id}, validation {one.accuracy:.1%}"), "utf-8")
    except OSError as error:
        raise ValueError(f"svg is {str(path)!r}, which cannot be written ({error.strerror}): choose another") from error


def _show_run(run: Run, best: Network) -> None:
    print(f"individual {best.individual.id} (the best)")
    if best.finished:
        print(f"finished weights: test accuracy {best.test_accuracy:.1%}; the tables below are of evolved weights")
    print(printable(best.describe()))
    console = _console()
    _print_lineage(run, best.individual, console)
    living = sorted(run.population, key=lambda one: (-one.fitness, one.id))
    console.print(_individuals_table(run, f"population after {run.events} events", living))
    console.print(_front_table(run))
    print(f"fingerprint {run.fingerprint} after {run.events} events")
    if run.manifest.warm_start is not None:
        print(f"initial individuals: {run.manifest.warm_start}")
    if run.skipped:
        print(f"not reproducible from its seed alone: the user skipped births {', '.join(map(str, run.skipped))}")


def _show_individual(run: Run, network: Network) -> None:
    one, facts = network.individual, run.facts(network.individual.id)
    made = "initial" if one.parent_id is None else f"child of {one.parent_id} by {one.mutation}"
    lives = "alive" if facts["death"] is None else f"died after event {facts['death']}"
    print(f"individual {one.id}, {printable(made)}, told at event {one.event}, {lives}")
    if facts["failure"] is None:
        test = _test_text(run, one)
        print(f"validation accuracy {one.accuracy:.2%}, test accuracy {test}")
    else:
        print(f"its training failed: {printable(facts['failure'])}")
    print(f"trained for {facts['steps']:,} steps, {facts['train_seconds']:.1f} s", end="")
    print(f", after compiling for {facts['compile_seconds']:.1f} s")
    print(f"{one.cost.parameters:,} parameters, {one.cost.forward_flops:,} FLOPs per image")
    print(printable(network.describe()))
    _print_lineage(run, one, _console())


def _run_fields(run: Run) -> dict[str, Any]:
    """Returns a run as JSON values."""
    best = run.best
    return {
        "workdir": str(run.path),
        "settings": dataclasses.asdict(run.settings),
        "individuals": run.events,
        "fingerprint": run.fingerprint,
        "skipped": run.skipped,
        "result": run.result,
        "best": _network_fields(run, best),
        "population": [_fields(run, one.id) for one in run.population],
        "front": [one.id for one in run.front],
    }


def _network_fields(run: Run, network: Network) -> dict[str, Any]:
    """Returns an individual as JSON values, with its lineage and its network."""
    boxes, edges, caption = network.drawing
    return {
        **_fields(run, network.individual.id),
        "lineage": [one.id for one in run.lineage(network.individual.id)],
        "network": {"boxes": [box._asdict() for box in boxes], "edges": edges, "caption": caption},
    }


def _fields(run: Run, individual_id: int) -> dict[str, Any]:
    """Returns an individual as JSON values, which have no NaN."""
    facts = run.facts(individual_id)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in facts.items()
    }


def _console() -> Console:
    """Returns standard output; in a pipe or file, tables are as wide as they need."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def _print_lineage(run: Run, individual: Individual, console: Console) -> None:
    line = run.lineage(individual.id)
    console.print(_individuals_table(run, "lineage, the first ancestor first", line))


def _individuals_table(run: Run, title: str, individuals: Sequence[Individual]) -> Table:
    name = next(iter(run.summary(individuals[0].id)), "") if individuals else ""
    columns = ("individual", "mutation", name.replace("_", " "), "validation", "test")
    table = Table(*columns, title=title, title_justify="left")
    for one in individuals:
        table.add_row(
            str(one.id),
            Text(printable(one.mutation or "(initial)")),
            str(next(iter(run.summary(one.id).values()), "")),
            f"{one.accuracy:.1%}",
            _test_text(run, one),
        )
    return table


def _front_table(run: Run) -> Table:
    cost = {"flops": "FLOPs per image", "parameters": "parameters"}[run.settings.pareto_cost]
    columns = ("individual", "parameters", "FLOPs per image", "validation", "test", "weights")
    title = f"front of fitness and {cost}, of all individuals ever trained"
    table = Table(*columns, title=title, title_justify="left")
    kept = weight_names(Workdir(run.path).weights)
    for one in run.front:
        table.add_row(
            str(one.id),
            f"{one.cost.parameters:,}",
            f"{one.cost.forward_flops:,}",
            f"{one.accuracy:.1%}",
            _test_text(run, one),
            "kept" if one.weights in kept else "removed",
        )
    return table


def _test_text(run: Run, individual: Individual) -> str:
    if individual.failure is not None:
        return "failed"
    if not run.manifest.trains:
        return "none"
    accuracy = run.test_accuracy(individual.id)
    return "not finite" if accuracy is None else f"{accuracy:.1%}"
