"""Run a command and print its result."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jaxevo import __version__
from jaxevo.api import begin, new_workdir
from jaxevo.cli.commands import (
    COMMANDS,
    BenchCommand,
    Command,
    CompletionCommand,
    ExportCommand,
    FiguresCommand,
    FinishCommand,
    ListCommand,
    PredictCommand,
    PrintCommand,
    ReplayCommand,
    ReportCommand,
    ResumeCommand,
    RunCommand,
    ShowCommand,
    TestCommand,
    VerifyCommand,
)
from jaxevo.cli.drawing import draw
from jaxevo.cli.help import completion
from jaxevo.cli.listing import list_runs
from jaxevo.cli.measures import print_majority, print_measures, print_warning
from jaxevo.cli.options import as_typed
from jaxevo.cli.parse import HELP, command_options, parse
from jaxevo.cli.showing import show
from jaxevo.data import absolute_name, is_at_hand
from jaxevo.reports.child import carry_out
from jaxevo.reports.ensemble import ENSEMBLE_SIZE, check_ensemble_size
from jaxevo.reports.jobs import Replay, Resume, Stopped
from jaxevo.reports.overview import limit_reached, read_result
from jaxevo.reports.run import Run, check_share, verify
from jaxevo.reports.terminal import printable
from jaxevo.settings import Execution
from jaxevo.signals import INTERRUPTED_STATUS
from jaxevo.storage.finish import read_finishes
from jaxevo.storage.manifest import read_manifest
from jaxevo.storage.workdir import Workdir, check_new, check_path, shown

_FAILED_STATUS = 1
_TRAINING = ("run", "resume", "finish", "replay", "verify")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 if a training or check failed, 2 for a user's error, 130 if a signal stopped it."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _status(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # The reader closed the pipe, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not arguments or arguments[0] not in _TRAINING or not {*HELP}.isdisjoint(arguments):
            return 0
        print("jaxevo: error: what was to read the output has gone: finished individuals are kept", file=sys.stderr)
        return _FAILED_STATUS
    except (ValueError, OSError) as error:
        options = command_options(arguments[0]) if arguments[0] in COMMANDS else ()
        print(f"jaxevo: error: {printable(as_typed(str(error), options))}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"jaxevo: error: {printable(str(error))}", file=sys.stderr)
        return _FAILED_STATUS
    except Stopped as stopped:
        print(stopped)
        return INTERRUPTED_STATUS
    except KeyboardInterrupt:
        print("Stopped.")
        return INTERRUPTED_STATUS


def _status(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"jaxevo {__version__}")
        return 0
    command = parse(arguments)
    return _ACTIONS[type(command)](command)


def _run(command: RunCommand) -> int:
    path = check_path(command.workdir) if command.workdir is not None else new_workdir(command.settings)
    check_new(path)
    _say_what_starts(command.settings.dataset)
    run = begin(
        path,
        command.settings,
        command.limits,
        command.execution,
        from_run=command.from_run,
        from_genotype=command.from_genotype,
    )
    _sum_up(path, run.result)
    if command.report:
        print(f"The run as a page:  {run.report()}")
    return 0


def _resume(command: ResumeCommand) -> int:
    path = check_path(command.workdir)
    place = absolute_name(command.dataset) if command.dataset is not None else None
    reached = limit_reached(path, command.limits) if not command.skip_birth else None
    if reached is not None:
        print(f"{shown(path)} is finished: it reached {reached}, and nothing is left to train", flush=True)
        return _sum_up(path, read_result(path))
    _say_what_starts(place or read_manifest(Workdir(path)).settings.dataset)
    carry_out(Resume(path, command.execution, command.limits, command.skip_birth, place))
    return _sum_up(path, read_result(path))


def _finish(command: FinishCommand) -> int:
    run = Run(command.workdir, dataset=command.dataset, **_trust(command.execution))
    check_share(command.share)
    check_ensemble_size(command.ensemble_size)
    _say_what_starts(command.dataset or run.settings.dataset)
    finish = run.finish(command.share, command.ensemble_size, **vars(command.execution))
    if finish.failure is not None or finish.failed_share == command.share:  # A notice says so.
        return _FAILED_STATUS
    print(f"individual {finish.individual_id}, trained on for {finish.steps:,} steps: ", end="")
    measured = finish.test_accuracy is not None
    print(f"test accuracy {finish.test_accuracy:.2%}" if measured else "a test image has no finite prediction")
    vote = read_result(run.path).get("finished_ensemble_test_accuracy")
    if vote is not None:
        print(f"majority vote of the finished ensemble: test accuracy {vote:.2%}")
    others = read_finishes(Workdir(run.path), finish.fingerprint).values() if command.ensemble_size > 1 else ()
    return _FAILED_STATUS if any(one.failed(command.share) for one in (finish, *others)) else 0


def _replay(command: ReplayCommand) -> int:
    source, path = check_path(command.source), check_path(command.workdir)
    place = absolute_name(command.dataset) if command.dataset is not None else None
    original = Run(source, **_trust(command.execution))
    check_new(path)
    _say_what_starts(place or original.settings.dataset)
    carry_out(Replay(path, command.execution, source, place))
    replayed = Run(path)
    _sum_up(path, replayed.result)
    if replayed.fingerprint == original.fingerprint:
        print(f"The replay has the fingerprint of {source}.")
        return 0
    print(f"The replay differs from {source}, whose fingerprint is {original.fingerprint}: see jaxevo verify")
    return _FAILED_STATUS


def _trust(execution: Execution) -> dict[str, Any]:
    """Returns the arguments of `Run` that say whose code may run."""
    return {"trust_code": execution.trust_code, "trust_doors": execution.trust_doors}


def _verify(command: VerifyCommand) -> int:
    path = check_path(command.workdir)
    read_manifest(Workdir(path))  # Refuses a folder without a run.
    print(f"verifying {printable(shown(path))}", flush=True)
    findings = verify(path, _retrain(command.retrain), command.dataset, trust_code=command.trust_code)
    for finding in findings:
        print(f"FAILED: {printable(finding)}")
    if not findings:
        print("Verified: no differences found.")
    return _FAILED_STATUS if findings else 0


def _retrain(given: str | None) -> Literal["best"] | int | None:
    """Returns a number as int; `verify` refuses any text but "best"."""
    return int(given) if given is not None and given.isdecimal() else given  # type: ignore[return-value]


def _say_what_starts(dataset: str) -> None:
    """Says at once what takes a moment; that there is such a data set is not known yet unless it is at hand."""
    begun = "reading" if is_at_hand(dataset) else "looking for the data set"
    print(f"starting JAX, {begun} {printable(shown(Path(dataset)))}", flush=True)


def _sum_up(path: Path, result: Mapping[str, Any]) -> int:
    if not result:
        print(f"Another process has the run go on: {_command('show', path)}")
        return 0
    for name, value in result.items():
        # By default the fitness is the accuracy and only the best is finished, so that one line is enough for each.
        same = name == "best_fitness" and value == result["best_validation_accuracy"]
        if not (same or (name == "finished_ensemble_test_accuracy" and value is None)):
            print(f"{name.replace('_', ' '):<33}{_text(name, value)}")
    if result["best_id"] is None:
        print("No individual has been trained successfully; try another run with a lower --initial-learning-rate.")
    else:
        if "majority_class" in result:
            print_majority(result)
        print(f"See what evolved: {_command('show', path)}")
    more = "" if result["stop_reason"] == "max_seconds" else f" --max-individuals {2 * result['individuals']}"
    print(f"Extend the run:   {_command('resume', path)}{more}")
    return 0


def _command(name: str, path: Path) -> str:
    """Returns a command for a user to type."""
    return f"jaxevo {name} {shlex.quote(shown(path))}"


def _text(name: str, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        if name.endswith("accuracy"):
            return f"{value:.2%}"
        return f"{value:.4g}" if name.endswith("fitness") else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _compare(command: ReportCommand, paths: Sequence[Path]) -> int:
    from jaxevo.reports.page.files import compare_runs

    for name in ("no_images", "phylogeny", "watch"):
        if getattr(command, name):
            raise ValueError(f"{name.replace('_', '-')} is given for {len(paths)} runs, but is for one run alone")
    file = Path("comparison.html" if command.output is None else command.output).expanduser()
    compare_runs(paths, file)
    print(f"wrote {file}")
    return 0


def _report(command: ReportCommand) -> int:
    from jaxevo.reports.page.files import watch_run

    paths = [check_path(path) for path in command.workdir]
    if len(paths) > 1:
        return _compare(command, paths)
    (path,) = paths
    if command.watch:
        file = Workdir(path).report if command.output is None else Path(command.output).expanduser()
        watch_run(path, file, lambda events: print(f"{file}: {events} individuals", flush=True))
    written = Run(path, trust_code=command.trust_code).report(
        command.output, images=not command.no_images, phylogeny=command.phylogeny
    )
    print(f"wrote {written}")
    return 0


def _test(command: TestCommand) -> int:
    run = Run(command.workdir, dataset=command.dataset, trust_code=command.trust_code)
    scores = run.test(command.ensemble_size)
    if command.json:
        fields = {
            "members": scores.members,
            "best_weights": scores.best_weights,
            "ensemble_weights": scores.ensemble_weights,
            "best": scores.best_measures.to_json(),
            "ensemble": scores.ensemble_measures.to_json(),
        }
        print(json.dumps(fields, indent=2))
        return 0
    best, count = scores.members[0], len(scores.members)
    print(f"individual {best}, the best by validation, {scores.best_weights} weights: test accuracy {scores.best:.2%}")
    print_measures(scores.best_measures)
    print(f"majority vote of the {count} best, {scores.ensemble_weights} weights: test accuracy {scores.ensemble:.2%}")
    print_warning(scores.ensemble_measures.warning)
    return 0


def _predict(command: PredictCommand) -> int:
    from jaxevo.reports.predict import predict_files

    found = predict_files(
        command.source,
        command.images,
        command.top,
        lambda sentence: print(printable(sentence), file=sys.stderr),
        trust_code=command.trust_code,
    )
    for prediction in found:
        ranked = ", ".join(f"{name} {share:.1%}" for name, share in prediction.ranked)
        print(printable(f"{prediction.image}: {ranked}"))
    return 0


def _export(command: ExportCommand) -> int:
    run = Run(command.workdir, trust_code=command.trust_code)
    if command.ensemble:
        if command.individual is not None:
            raise ValueError("--individual and --ensemble are given: leave one out")
        size = ENSEMBLE_SIZE if command.ensemble_size is None else command.ensemble_size
        run.export_ensemble(command.folder, size)
        print(f"exported the ensemble to {command.folder}; its README.md says how to use it")
        return 0
    if command.ensemble_size is not None:
        raise ValueError("--ensemble-size is given without --ensemble: give both, or neither")
    network = run.best if command.individual is None else run.network(command.individual)
    run.export(command.folder, command.individual)
    what = f"individual {network.individual.id}, {network.weights_kind} weights"
    print(f"exported {what}, to {command.folder}: see its README.md")
    return 0


def _compare_benches(command: BenchCommand) -> int:
    from jaxevo.bench.comparing import print_comparison, read_both
    from jaxevo.bench.report import report_console

    if command != BenchCommand(compare=command.compare):
        raise ValueError("compare is given with other options, but measures nothing: leave these out")
    print_comparison(report_console(), *read_both(command.compare))
    return 0


def _bench(command: BenchCommand) -> int:
    if command.compare:
        return _compare_benches(command)
    from jaxevo.bench.extent import FULL, QUICK
    from jaxevo.bench.report import check_writable
    from jaxevo.bench.suite import Suite
    from jaxevo.bench.watching import watch
    from jaxevo.storage.durable import write_json

    Execution(lanes=command.lanes)  # Checks it.
    path = None if command.json is None else Path(command.json).expanduser()
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


def _completion(command: CompletionCommand) -> int:
    print(completion(command.shell, {name: command_options(name) for name in COMMANDS}), end="")
    return 0


def _print(command: PrintCommand) -> int:
    print(command.text)
    return 0


_ACTIONS: dict[type[Command], Callable[[Any], int]] = {
    RunCommand: _run,
    ResumeCommand: _resume,
    FinishCommand: _finish,
    ReplayCommand: _replay,
    VerifyCommand: _verify,
    ListCommand: list_runs,
    ShowCommand: show,
    ReportCommand: _report,
    FiguresCommand: draw,
    TestCommand: _test,
    PredictCommand: _predict,
    ExportCommand: _export,
    BenchCommand: _bench,
    CompletionCommand: _completion,
    PrintCommand: _print,
}
