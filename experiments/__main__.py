"""Runs an experiment over several seeds and prints a table: `python -m experiments NAME --seeds 0 1 2 3 4`.

If a seed has a run already, that run is resumed, or only read if it is finished.
"""

import argparse
import dataclasses
import json
import statistics
import time
import typing
from pathlib import Path
from typing import Any

import jaxevo
from experiments.entry import exit_with
from experiments.experiment import Experiment, load, names
from experiments.json_lines import append_line
from jaxevo.api import begin
from jaxevo.data import absolute_name
from jaxevo.reports.child import carry_out
from jaxevo.reports.jobs import Resume
from jaxevo.reports.overview import limit_reached
from jaxevo.session.limits import limits_changed
from jaxevo.settings import Execution, Limits, SelectionName, Settings
from jaxevo.storage.journal import read_journal
from jaxevo.storage.manifest import read_manifest
from jaxevo.storage.workdir import Workdir

_ACCURACIES = ("initial_test", "best_validation", "best_test", "finished_test", "ensemble_test", "linear_test")


def main(arguments: list[str] | None = None) -> int:
    """Runs the experiment that the arguments name; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("name", choices=names())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="default: 0 1 2 3 4")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where to keep the runs; default: runs")
    parser.add_argument("--dataset", help="a data set in place of the experiment's, such as a .npz file")
    parser.add_argument(
        "--selection", choices=typing.get_args(SelectionName), help="in place of the experiment's: the control"
    )
    parser.add_argument("--max-flops", type=float, help="in place of the experiment's: a smaller or larger budget")
    parser.add_argument("--results", type=Path, help="file of JSON lines to append every seed's result to")
    parser.add_argument("--lanes", type=int, help="individuals to train at once; never shapes the result")
    parser.add_argument("--devices-per-lane", type=int, default=1, help="devices that share a training; default: 1")
    parser.add_argument("--lanes-per-device", type=int, help="lanes that share each device, instead of --lanes")
    given = parser.parse_args(arguments)
    experiment = load(given.name).changed(given.max_flops, dataset=given.dataset, selection=given.selection)
    execution = Execution(given.lanes, given.devices_per_lane, given.lanes_per_device)
    budget = None if given.max_flops is None else f"{given.max_flops:g}"
    label = "-".join(part for part in (given.name, given.selection, budget) if part is not None)
    results = {}
    for seed in given.seeds:
        results[seed] = run_seed(experiment, seed, given.folder / f"{label}-{seed}", execution)
        if given.results is not None:
            row = {"experiment": label, "seed": seed, "dataset": Path(experiment.settings.dataset).name}
            append(given.results, row | results[seed])
    print(table(results))
    return 0


def run_seed(experiment: Experiment, seed: int, path: Path, execution: Execution) -> dict[str, Any]:
    """Begins or resumes one seed; returns its result, with the initial individuals' median test accuracy."""
    print(f"seed {seed} in {path}", flush=True)
    wanted = dataclasses.replace(experiment.settings, seed=seed)
    if (path / "manifest.json").exists():
        _check_same(path, wanted, experiment.limits)
        if limit_reached(path, experiment.limits) is None:
            carry_out(Resume(path, execution, experiment.limits))
        run = jaxevo.open(path)
    else:
        run = begin(path, wanted, experiment.limits, execution)
    history = run.history
    initial = history[history.parent_id.isna()].test_accuracy.dropna()
    best = run.result["best_id"]
    return run.result | {
        "initial_test_accuracy": statistics.median(initial) if len(initial) else None,
        "generations": None if best is None else len(run.lineage(best)) - 1,
        "processor": run.manifest.machine.processor,
        "finished": time.strftime("%Y-%m-%d"),
    }


def _check_same(path: Path, wanted: Settings, limits: Limits) -> None:
    """Raises `ValueError` if the run in a folder has other settings than the experiment, or went on beyond it."""
    stored = vars(read_manifest(Workdir(path)).settings)
    given = vars(wanted) | {"dataset": absolute_name(wanted.dataset)}
    other = [name for name, value in given.items() if stored[name] != value]
    if other:
        raise ValueError(
            f"the run in {path} has other settings than the experiment ({', '.join(other)}): give another --folder, or "
            "move that run away"
        )
    content = read_journal(Workdir(path).journal, {"start", "stop"})
    last = content.sessions[-1].limits if content.sessions else limits
    will = limits_changed(read_manifest(Workdir(path)), content, limits)
    if will != limits or (limit_reached(path, limits) is not None and last != limits):
        raise ValueError(
            f"the run in {path} has other limits ({last}) than the experiment ({limits}): give another --folder, or "
            "move that run away"
        )


def append(path: Path, row: dict[str, Any]) -> None:
    """Appends a row to a file of JSON lines, unless one of the same run is there."""
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    same = ("experiment", "seed", "fingerprint", "finished_test_accuracy")
    if not any(all(one[name] == row[name] for name in same) for one in map(json.loads, whole.splitlines())):
        append_line(path, row)


def table(results: dict[int, dict[str, Any]]) -> str:
    """Returns a Markdown table of all seeds, with the median test accuracy below.

    A seed has no accuracy if all its trainings failed or its logits are not finite; it counts as 0 in the median.
    """
    rows = [
        "| seed | individuals | generations | initial | validation | test | finished | ensemble | linear | parameters |"
        " TFLOP | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for seed, result in results.items():
        accuracies = (result[f"{name}_accuracy"] for name in _ACCURACIES)
        cells = [
            str(seed),
            str(result["individuals"]),
            "none" if result["generations"] is None else str(result["generations"]),
            *("none" if accuracy is None else f"{accuracy:.1%}" for accuracy in accuracies),
            "none" if result["best_id"] is None else f"{result['best_parameters']:,}",
            f"{result['total_flops'] / 1e12:.2f}",
            f"{result['wall_seconds'] + result['finish_seconds']:.0f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    medians = [
        f"{name} {statistics.median(result[key] or 0.0 for result in results.values()):.1%}"
        for name, key in (("evolved", "best_test_accuracy"), ("finished", "finished_test_accuracy"))
    ]
    return "\n".join([*rows, "", f"median test accuracy: {', '.join(medians)}"])


if __name__ == "__main__":
    exit_with(main)
