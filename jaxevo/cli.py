"""The command line. Its flags are the fields of the settings; see `jaxevo COMMAND --help`."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from jaxevo import __version__
from jaxevo.api import INTERRUPTED_STATUS, Run, new_workdir
from jaxevo.environment import prepare_process
from jaxevo.population import Individual
from jaxevo.settings import PRESETS, Execution, Limits, Settings
from jaxevo.workdir import Workdir, check_path, read_manifest, recorded_execution

if TYPE_CHECKING:
    from jaxevo.loop import Watcher
    from jaxevo.run import Ended

PresetName = Literal["demo", "small", "paper"]
WorkdirArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]

_FAILED_STATUS = 1


@dataclass(frozen=True)
class RunCommand:
    """Begin a run in a new folder."""

    settings: Annotated[Settings, tyro.conf.arg(name="")]
    limits: Annotated[Limits, tyro.conf.arg(name="")]
    preset: PresetName = "demo"
    """Settings and limits to start from: demo (digits, five minutes on two cores), small (fashion_mini, ten), paper
    (the numbers of Real et al. 2017)."""
    workdir: str | None = None
    """Where to keep the run. Default: a new folder under runs."""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)


@dataclass(frozen=True)
class ResumeCommand:
    """Go on with a run: after a crash, an interruption, or its end.

    Limits that are not given stay those of the last session, but for the one that ended it: it is lifted where another
    is given.
    """

    workdir: WorkdirArgument
    """The run's folder."""
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)
    skip_birth: tuple[int, ...] = ()
    """Births in training to count as failed, where one keeps killing the process. The run is not reproducible from its
    seed alone then."""


@dataclass(frozen=True)
class ReplayCommand:
    """Train everyone of a run again, in a new folder and told in the same order, and compare the fingerprints."""

    source: WorkdirArgument
    """The folder of the run to replay."""
    workdir: str
    """The new folder."""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)


@dataclass(frozen=True)
class VerifyCommand:
    """Compute every decision of a run again, hash what it keeps, and compare; train lineages again if asked to."""

    workdir: WorkdirArgument
    """The run's folder."""
    retrain: Annotated[str | None, tyro.conf.arg(metavar="best|NUMBER")] = None
    """Whose lineage to train again from its first ancestor: best, or those of so many random individuals."""


@dataclass(frozen=True)
class ShowCommand:
    """Print the best network, its lineage, and the population."""

    workdir: WorkdirArgument
    """The run's folder."""
    individual: int | None = None
    """Show this individual instead of the best."""


@dataclass(frozen=True)
class TestCommand:
    """Measure test accuracy: of the best by validation, and of the ensemble's majority vote."""

    workdir: WorkdirArgument
    """The run's folder."""
    ensemble_size: int | None = None
    """Members of the ensemble, the fittest. Default: the run's setting."""


@dataclass(frozen=True)
class ExportCommand:
    """Write the best network as a folder that works without jaxevo."""

    workdir: WorkdirArgument
    """The run's folder."""
    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """The new folder to write."""
    individual: int | None = None
    """Export this individual instead of the best; it must be alive."""


@dataclass(frozen=True)
class BenchCommand:
    """Measure this machine in a few minutes: device, training, compiling, evolution, scaling.

    Tables are printed as they are measured. For example: jaxevo bench --json bench.json
    """

    json: str | None = None
    """File to write all figures to, with versions and flags."""
    quick: bool = False
    """A quick look, in about a minute: fewer networks, fewer samples."""
    lanes: int | None = None
    """Lanes that evolve, and the most that scaling is measured with. Default: as many as jaxevo run would have, and for
    scaling on accelerators twice as many."""


Command = (
    RunCommand
    | ResumeCommand
    | ReplayCommand
    | VerifyCommand
    | ShowCommand
    | TestCommand
    | ExportCommand
    | BenchCommand
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 when a training could not be carried out, 2 for a user's error, 130 on Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"jaxevo {__version__}")
        return 0
    try:
        return _dispatch(parse(arguments))
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


def parse(arguments: Sequence[str]) -> Command:
    """Returns the command that the arguments describe; the preset gives the defaults of `run`."""
    preset = _preset(arguments)
    settings, limits = PRESETS[preset]
    commands = (
        Annotated[RunCommand, tyro.conf.subcommand("run", default=RunCommand(settings, limits, preset))]
        | Annotated[ResumeCommand, tyro.conf.subcommand("resume")]
        | Annotated[ReplayCommand, tyro.conf.subcommand("replay")]
        | Annotated[VerifyCommand, tyro.conf.subcommand("verify")]
        | Annotated[ShowCommand, tyro.conf.subcommand("show")]
        | Annotated[TestCommand, tyro.conf.subcommand("test")]
        | Annotated[ExportCommand, tyro.conf.subcommand("export")]
        | Annotated[BenchCommand, tyro.conf.subcommand("bench")]
    )
    return tyro.cli(
        commands,
        prog="jaxevo",
        description="Evolve image classifiers: the same run from the same seed.",
        args=list(arguments),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def _preset(arguments: Sequence[str]) -> PresetName:
    """Returns the preset that the arguments name, the demo if none or an unknown one (which tyro reports)."""
    for place, argument in enumerate(arguments):
        value = argument.partition("=")[2] if argument.startswith("--preset=") else None
        if argument == "--preset" and place + 1 < len(arguments):
            value = arguments[place + 1]
        if value in PRESETS:
            return value  # type: ignore[return-value]
    return "demo"


def _dispatch(command: Command) -> int:
    if isinstance(command, RunCommand):
        return _run(command)
    if isinstance(command, ResumeCommand):
        return _resume(command)
    if isinstance(command, ReplayCommand):
        return _replay(command)
    if isinstance(command, VerifyCommand):
        return _verify(command)
    if isinstance(command, ShowCommand):
        return _show(command)
    if isinstance(command, TestCommand):
        return _test(command)
    if isinstance(command, BenchCommand):
        return _bench(command)
    return _export(command)


def _run(command: RunCommand) -> int:
    path = check_path(command.workdir) if command.workdir is not None else new_workdir(command.settings)
    print(f"evolving {command.settings.dataset} with seed {command.settings.seed} in {path}", flush=True)

    def evolve(watcher: "Watcher") -> "Ended":
        from jaxevo.run import start_run

        return start_run(path, command.settings, command.limits, command.execution, watcher)

    return _session(path, command.execution, evolve)


def _resume(command: ResumeCommand) -> int:
    path = check_path(command.workdir)

    def evolve(watcher: "Watcher") -> "Ended":
        from jaxevo.run import resume_run

        return resume_run(path, command.limits, command.execution, watcher, command.skip_birth)

    return _session(path, command.execution, evolve)


def _replay(command: ReplayCommand) -> int:
    source, path = check_path(command.source), check_path(command.workdir)

    def evolve(watcher: "Watcher") -> "Ended":
        from jaxevo.run import replay_run

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
    from jaxevo.verify import verify_run

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
        from jaxevo.progress import watch

        with watch() as watcher:
            ended = evolve(watcher)
    except KeyboardInterrupt:  # Before the first training, or of a user who does not wait for a clean end.
        return _stopped(path)
    from jaxevo.loop import INTERRUPTED
    from jaxevo.result import write_result

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
    from jaxevo.history import History
    from jaxevo.result import ensemble, ensemble_test_accuracy

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
    from jaxevo.export import export_network

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
    from jaxevo.workdir import write_json

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
