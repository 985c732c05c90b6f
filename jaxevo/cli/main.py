"""The command line: what each command does, and prints."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from jaxevo import __version__
from jaxevo.api import Run, new_workdir
from jaxevo.cli.commands import (
    BenchCommand,
    Command,
    ExportCommand,
    ReplayCommand,
    ResumeCommand,
    RunCommand,
    ShowCommand,
    TestCommand,
    VerifyCommand,
    parse,
)
from jaxevo.environment import prepare_process
from jaxevo.search.population import Individual
from jaxevo.settings import Execution
from jaxevo.signals import INTERRUPTED_STATUS
from jaxevo.storage.workdir import Workdir, check_path, read_manifest, recorded_execution

if TYPE_CHECKING:
    from jaxevo.session.progress import Watcher
    from jaxevo.session.session import Ended

_FAILED_STATUS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 when a training could not be carried out, 2 for a user's error, 130 on Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"jaxevo {__version__}")
        return 0
    try:
        command = parse(arguments)
        return _ACTIONS[type(command)](command)
    except BrokenPipeError:  # Whoever read has had enough, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"jaxevo: error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"jaxevo: error: {error}", file=sys.stderr)
        return _FAILED_STATUS
    except KeyboardInterrupt:
        print("Stopped.")
        return INTERRUPTED_STATUS


def _run(command: RunCommand) -> int:
    path = check_path(command.workdir) if command.workdir is not None else new_workdir(command.settings)
    print(f"evolving {command.settings.dataset} with seed {command.settings.seed} in {path}", flush=True)

    def evolve(watcher: "Watcher") -> "Ended":
        from jaxevo.session.run import start_run

        return start_run(path, command.settings, command.limits, command.execution, watcher)

    return _session(path, command.execution, evolve)


def _resume(command: ResumeCommand) -> int:
    path = check_path(command.workdir)

    def evolve(watcher: "Watcher") -> "Ended":
        from jaxevo.session.run import resume_run

        return resume_run(path, command.limits, command.execution, watcher, command.skip_birth)

    return _session(path, command.execution, evolve)


def _replay(command: ReplayCommand) -> int:
    source, path = check_path(command.source), check_path(command.workdir)

    def evolve(watcher: "Watcher") -> "Ended":
        from jaxevo.session.run import replay_run

        return replay_run(source, path, command.execution, watcher)

    status = _session(path, command.execution, evolve)
    if status != 0:
        return status
    original, replayed = Run(source), Run(path)
    if replayed.fingerprint == original.fingerprint:
        print(f"The replay ends with the fingerprint of {source}.")
        return 0
    print(f"The replay ends with another fingerprint than {source}, {original.fingerprint}: see jaxevo verify")
    return _FAILED_STATUS


def _verify(command: VerifyCommand) -> int:
    path = check_path(command.workdir)
    retrain = _retrain(command.retrain)
    prepare_process(recorded_execution(read_manifest(Workdir(path))))
    from jaxevo.reports.verify import verify_run

    findings = verify_run(path, retrain, lambda sentence: print(sentence, flush=True))
    for finding in findings:
        print(f"NOT AS IT MUST BE: {finding}")
    if not findings:
        print("Everything is as it must be.")
    return _FAILED_STATUS if findings else 0


def _retrain(given: str | None) -> Literal["best"] | int | None:
    if given is None or given == "best":
        return given  # type: ignore[return-value]
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"retrain is {given!r}, but must be best, or a number from 1")
    return int(given)


def _session(path: Path, execution: Execution, evolve: "Callable[[Watcher], Ended]") -> int:
    """Evolves in a work folder, shows how far it is, and sums up what it has come to; returns the exit status."""
    try:
        prepare_process(execution)
        from jaxevo.reports.progress import watch

        with watch() as watcher:
            ended = evolve(watcher)
    except KeyboardInterrupt:  # Before the first training, or of a user who does not wait for a clean end.
        return _stopped(path)
    from jaxevo.reports.result import write_result
    from jaxevo.session.progress import INTERRUPTED

    if ended.stop_reason == INTERRUPTED:
        status = _stopped(path)
        if ended.busy:
            os._exit(status)  # Nothing can interrupt a compilation, and a signal is not to wait for it.
        return status
    _sum_up(path, write_result(path))
    return 0


def _stopped(path: Path) -> int:
    if (path / "manifest.json").exists():
        print(f"Stopped; nothing that had finished is lost. To go on with: {_command('resume', path)}", flush=True)
    else:
        print("Stopped before the run began.", flush=True)
    return INTERRUPTED_STATUS


def _sum_up(path: Path, result: dict[str, Any]) -> None:
    for name, value in result.items():
        print(f"{name.replace('_', ' '):<26}{_text(name, value)}")
    if result["best_id"] is None:
        print("No individual has been trained successfully: a lower --initial-learning-rate may help another run.")
    else:
        print(f"See what evolved: {_command('show', path)}")
    more = "" if result["stop_reason"] == "max_seconds" else f" --max-individuals {2 * result['individuals']}"
    print(f"Extend the run:   {_command('resume', path)}{more}")


def _command(name: str, path: Path) -> str:
    """Returns a command as a user may type it."""
    return f"jaxevo {name} {shlex.quote(str(path))}"


def _text(name: str, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.2%}" if name.endswith("accuracy") else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _show(command: ShowCommand) -> int:
    run = Run(command.workdir)
    best = run.best
    individual = best.individual if command.individual is None else run.individual(command.individual)
    console = Console()
    print(f"individual {individual.id}{' (the best)' if individual == best.individual else ''}")
    print(run.network(individual).describe())
    console.print(_individuals_table(run, "lineage, the first ancestor first", run.lineage(individual.id)))
    living = sorted(run.population, key=lambda one: (-one.fitness, one.id))
    console.print(_individuals_table(run, f"population after {run.events} events", living))
    print(f"fingerprint {run.fingerprint} after {run.events} events")
    if run.skipped:
        print(f"not reproducible from its seed alone: skipped by the user were {', '.join(map(str, run.skipped))}")
    return 0


def _individuals_table(run: Run, title: str, individuals: Sequence[Individual]) -> Table:
    table = Table("individual", "mutation", "layers", "validation", "test", title=title, title_justify="left")
    for one in individuals:
        table.add_row(
            str(one.id),
            one.mutation or "(initial)",
            str(len(one.genotype.layers)),
            f"{one.fitness:.1%}",
            _test_text(run, one),
        )
    return table


def _test_text(run: Run, individual: Individual) -> str:
    if individual.weights is None:
        return "failed"
    accuracy = run.test_accuracy(individual.id)
    return "not finite" if accuracy is None else f"{accuracy:.1%}"


def _test(command: TestCommand) -> int:
    prepare_process()
    from jaxevo.data import load
    from jaxevo.reports.result import ensemble, ensemble_test_accuracy
    from jaxevo.storage.history import History

    workdir = Workdir(check_path(command.workdir))
    history = History(workdir)
    settings = history.manifest.settings
    size = command.ensemble_size if command.ensemble_size is not None else settings.ensemble_size
    if size < 1:
        raise ValueError(f"ensemble_size is {size}, but must be 1 or more")
    members = ensemble(history, size)
    dataset = load(settings.dataset)
    best = ensemble_test_accuracy(history, workdir, dataset, 1)
    vote = ensemble_test_accuracy(history, workdir, dataset, size)
    print(f"individual {members[0].id}, the best by validation: test accuracy {best:.2%}")
    print(f"majority vote of the {len(members)} best: test accuracy {vote:.2%}")
    return 0


def _export(command: ExportCommand) -> int:
    prepare_process()
    from jaxevo.reports.export import export_network

    run = Run(command.workdir)
    network = run.best if command.individual is None else run.network(run.individual(command.individual))
    facts: dict[str, float | str] = {
        "individual": network.individual.id,
        "validation accuracy": f"{network.validation_accuracy:.2%}",
        "test accuracy": f"{network.test_accuracy:.2%}",
        "run fingerprint": f"{run.fingerprint} after {run.events} events",
    }
    export_network(network.genotype, network.variables, run.manifest, facts, Path(command.folder))
    print(f"exported individual {network.individual.id} to {command.folder}; its README.md says how to use it")
    return 0


def _bench(command: BenchCommand) -> int:
    from jaxevo.bench.extent import FULL, QUICK
    from jaxevo.bench.report import check_writable
    from jaxevo.bench.suite import Suite
    from jaxevo.bench.watching import watch
    from jaxevo.storage.workdir import write_json

    Execution(lanes=command.lanes)  # Checks it.
    path = None if command.json is None else Path(command.json)
    if path is not None:
        check_writable(path)
    try:
        with watch() as listener:
            document = Suite(QUICK if command.quick else FULL, command.lanes, listener).run()
    except KeyboardInterrupt:
        print("Stopped before the end; nothing was written.")
        raise
    print(f"measured in {document['wall_seconds']:.0f} seconds")
    if path is not None:
        write_json(path, document)
        print(f"all figures: {path}")
    return _FAILED_STATUS if document["failed"] else 0


_ACTIONS: dict[type[Command], Callable[[Any], int]] = {
    RunCommand: _run,
    ResumeCommand: _resume,
    ReplayCommand: _replay,
    VerifyCommand: _verify,
    ShowCommand: _show,
    TestCommand: _test,
    ExportCommand: _export,
    BenchCommand: _bench,
}
