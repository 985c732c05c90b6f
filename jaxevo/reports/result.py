"""The result of a run, as written to result.json."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxevo.data import Dataset
from jaxevo.doors.trust import NOTHING, Trust
from jaxevo.reports.baselines import RUN_SHARE, fit_linear, majority_accuracy, plan_linear
from jaxevo.reports.ensemble import ENSEMBLE_SIZE, evolved_ensemble_of, finished_ensemble_of
from jaxevo.storage.durable import write_json
from jaxevo.storage.history import History
from jaxevo.storage.journal import read_journal, wall_clock_seconds
from jaxevo.storage.lock import WorkdirInUseError, locked
from jaxevo.storage.manifest import read_manifest
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.workdir import Workdir

_NOTHING: Mapping[str, Any] = {}


def summarise(
    workdir: Workdir,
    dataset: Dataset | None,
    ensemble_size: int = ENSEMBLE_SIZE,
    earlier: Mapping[str, Any] = _NOTHING,
    trust: Trust = NOTHING,
) -> dict[str, Any]:
    """Returns the result of a stopped run; values of the best individual are None if no training succeeded.

    The best individual is the fittest; its test accuracy was measured after its training.

    Args:
        workdir: the work folder.
        dataset: of the run, None if nothing is trained: then nothing is said of tests.
        ensemble_size: members of the ensemble.
        earlier: a result of the same run. Its linear model counts if it would be fitted again in the same way.
        trust: whose code may run.
    """
    history = History(workdir, trust=trust)
    state = history.state
    best, finishes = state.best_trained, history.finishes.values()
    needed = history.lives[best.id].birth.cost if best else None
    records = [life.record for life in history.lives.values()]
    wall_seconds = wall_clock_seconds(history.journal)
    return {
        "fingerprint": state.fingerprint,
        "individuals": state.events,
        "stop_reason": history.journal.stopped.reason if history.journal.stopped else None,
        "best_id": best.id if best else None,
        "best_validation_accuracy": best.accuracy if best else None,
        "best_fitness": best.fitness if best else None,
        **({} if dataset is None else _tested(history, workdir, dataset, ensemble_size, earlier)),
        "best_parameters": needed.parameters if needed else None,
        "best_flops_per_image": needed.forward_flops if needed else None,
        "total_flops": state.total_flops,
        "finish_flops": sum(finish.flops for finish in finishes),
        "wall_seconds": wall_seconds,
        "finish_seconds": sum(finish.seconds for finish in finishes),
        "compile_seconds": sum(record.compile_seconds for record in records),
        "train_seconds": sum(record.train_seconds for record in records),
        "individuals_per_hour": 3600 * state.events / max(wall_seconds, 1e-9),
    }


def _tested(
    history: History, workdir: Workdir, dataset: Dataset, ensemble_size: int, earlier: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the accuracies on the test images, of the run and of simple models."""
    best, finish = history.state.best_trained, history.finish
    test = dataset.as_given().test
    evolved, voting = (
        of(history, workdir, ensemble_size) if best else None for of in (evolved_ensemble_of, finished_ensemble_of)
    )
    return {
        "best_test_accuracy": history.lives[best.id].record.test_accuracy if best else None,
        "finished_test_accuracy": finish.test_accuracy if finish else None,
        "ensemble_test_accuracy": evolved.evaluate(*test) if evolved else None,
        "finished_ensemble_test_accuracy": voting.evaluate(*test) if voting else None,
        "ensemble_size": ensemble_size,
        "test_images": len(dataset.test.labels),
        **_baselines(dataset, _all_flops(history), earlier),
    }


def _all_flops(history: History) -> float:
    """Returns the FLOPs of a run, with those that the virtual clock counts for a birth beside its training."""
    settings = history.manifest.settings
    return history.state.total_flops + history.state.events * settings.birth_overhead * settings.virtual_rate


def _baselines(dataset: Dataset, run_flops: float, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the accuracies of the majority class and of a linear model that costs a small part of the run's FLOPs."""
    plan = plan_linear(dataset, RUN_SHARE * run_flops)
    flops = plan.flops if plan else 0
    if earlier.get("linear_flops") == flops:
        linear = earlier.get("linear_test_accuracy")
    else:
        linear = fit_linear(dataset, plan).accuracy(dataset.test) if plan else None
    return {
        "majority_class": dataset.class_names[int(np.bincount(dataset.train.labels).argmax())],
        "majority_test_accuracy": majority_accuracy(dataset),
        "linear_test_accuracy": linear,
        "linear_flops": flops,
    }


def write_result(
    path: Path,
    ensemble_size: int = ENSEMBLE_SIZE,
    earlier: Mapping[str, Any] = _NOTHING,
    dataset_place: str | None = None,
    trust: Trust = NOTHING,
) -> dict[str, Any]:
    """Writes `result.json` of a stopped run and returns its content; see `summarise`.

    If another process has the run go on meanwhile, nothing is written: that one writes its own.
    """
    workdir = Workdir(path)
    manifest = read_manifest(workdir)
    dataset = load_run_data(workdir, manifest, dataset_place) if manifest.trains else None
    result = summarise(workdir, dataset, ensemble_size, earlier, trust)
    with contextlib.suppress(WorkdirInUseError), locked(path):
        stopped = read_journal(workdir.journal, {"start", "stop"}).stopped
        if stopped is not None and stopped.fingerprint == result["fingerprint"]:
            write_json(workdir.result, result)
    return result
