"""The result of a run, as written to result.json."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxevo.data import Dataset
from jaxevo.reports.network import ENSEMBLE_SIZE, ensemble_of
from jaxevo.storage.history import History
from jaxevo.storage.journal import JournalContent
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.workdir import Workdir, read_manifest, write_json, writing_explained


def summarise(workdir: Workdir, dataset: Dataset, ensemble_size: int = ENSEMBLE_SIZE) -> dict[str, Any]:
    """Returns the result of a stopped run; values of the best individual are None if no training succeeded.

    The best individual is chosen by validation accuracy; its test accuracy was measured after its training.
    """
    history = History(workdir)
    state = history.state
    best = state.best_trained
    needed = history.lives[best.id].birth.cost if best else None
    vote = ensemble_of(history, workdir, ensemble_size).evaluate(*dataset.as_given().test) if best else None
    majority = int(np.bincount(dataset.train.labels).argmax())
    records = [life.record for life in history.lives.values()]
    wall_seconds = wall_clock_seconds(history.journal)
    return {
        "fingerprint": state.fingerprint,
        "individuals": state.events,
        "stop_reason": history.journal.stopped.reason if history.journal.stopped else None,
        "best_id": best.id if best else None,
        "best_validation_accuracy": best.fitness if best else None,
        "best_test_accuracy": history.lives[best.id].record.test_accuracy if best else None,
        "ensemble_test_accuracy": vote,
        "test_images": len(dataset.test.labels),
        "majority_class": dataset.class_names[majority],
        "majority_test_accuracy": float(np.mean(dataset.test.labels == majority)),
        "best_parameters": needed.parameters if needed else None,
        "best_flops_per_image": needed.forward_flops if needed else None,
        "total_flops": state.total_flops,
        "wall_seconds": wall_seconds,
        "compile_seconds": sum(record.compile_seconds for record in records),
        "train_seconds": sum(record.train_seconds for record in records),
        "individuals_per_hour": 3600 * state.events / max(wall_seconds, 1e-9),
    }


def write_result(path: Path, ensemble_size: int = ENSEMBLE_SIZE, dataset_place: str | None = None) -> dict[str, Any]:
    """Writes `result.json` of a stopped run and returns its content."""
    workdir = Workdir(path)
    result = summarise(workdir, load_run_data(workdir, read_manifest(workdir), dataset_place), ensemble_size)
    with writing_explained(path):
        write_json(workdir.result, result)
    return result


def wall_clock_seconds(journal: JournalContent) -> float:
    """Returns the total seconds of all sessions; a killed session counts up to its last record."""
    seconds = sum(stop.seconds for stop in journal.stops)
    for session in journal.sessions:
        finished = [record.finished for record in journal.records.values() if record.session == session.number]
        if session.number not in {stop.session for stop in journal.stops} and finished:
            seconds += max(0.0, max(finished) - session.started)
    return seconds
