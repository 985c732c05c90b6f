"""Verify that a run follows from its seed, its settings and its recorded outcomes.

All decisions are recomputed and compared with the journal, the snapshots and the result, and all kept weights are
hashed. Only retraining finds outcomes that are consistent but were never trained.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from jaxevo.doors.trust import NOTHING, Trust
from jaxevo.reports.verify.finishes import check_finishes
from jaxevo.reports.verify.lineages import Retrain, measure_again, retrain_lineages
from jaxevo.reports.verify.records import (
    check_decisions,
    check_descriptions,
    check_states,
    check_test_accuracies,
    check_weights,
)
from jaxevo.search.births import Initial
from jaxevo.storage.checkpoint import WeightStore
from jaxevo.storage.history import History, evolution_of_manifest
from jaxevo.storage.lock import is_locked
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.warm_start import initial_individuals
from jaxevo.storage.workdir import Workdir, WorkdirError


def verify_run(
    path: Path,
    retrain: Retrain | None,
    report: Callable[[str], None],
    dataset_place: str | None = None,
    trust: Trust = NOTHING,
) -> list[str]:
    """Returns a sentence for each difference in a work folder; changes nothing.

    Args:
        path: the work folder.
        retrain: lineages to train again from their first ancestor; None for none.
        report: called with a sentence about each check.
        dataset_place: name or path of the data set if it has moved.
        trust: whose code may run.

    Raises:
        ValueError: if there is no run, or its data set is not found.
    """
    workdir = Workdir(path)
    if is_locked(path):
        report("the run goes on: what it writes and removes meanwhile may look like a difference")
    history = History(workdir, check_decisions=False, trust=trust)
    manifest, content = history.manifest, history.journal
    space = history.space
    initial, store = initial_individuals(manifest.warm_start, space), WeightStore(workdir.weights, space)
    if not history.recomputed:
        return _recorded(history, workdir, initial, store, retrain, report)
    # After `ask`, because weights of individuals that die for the next births may already be removed.
    asked, _ = evolution_of_manifest(manifest, history.doors).ask(history.state)
    findings = [
        *check_decisions(history, asked),
        *check_descriptions(history),
        *check_states(history, workdir),
        *check_weights(asked, content.records, initial, store),
        *check_finishes(history, workdir),
        *check_test_accuracies(history, workdir),
    ]
    report(
        f"recomputed {history.state.events} events and {len(content.attempts)} attempts: fingerprint "
        f"{history.state.fingerprint}"
    )
    if history.skipped:
        names = ", ".join(map(str, history.skipped))
        report(f"the user skipped individuals {names}: the run is not reproducible from its seed alone")
    if manifest.settings.wall_clock:
        report("the run was told in wall-clock order: its journal reproduces it, its seed alone does not")
    if not manifest.trains:
        return findings if retrain is None else [*findings, *measure_again(history, report)]
    try:
        dataset = load_run_data(workdir, manifest, dataset_place, report)
    except WorkdirError as error:
        return [*findings, str(error)]
    if retrain is not None:
        findings += retrain_lineages(history, workdir, dataset, retrain, store, report)
    return findings


def _recorded(
    history: History,
    workdir: Workdir,
    initial: Sequence[Initial],
    store: WeightStore,
    retrain: Retrain | None,
    report: Callable[[str], None],
) -> list[str]:
    """Returns the differences that can be found without running the code from outside that the run names."""
    if retrain is not None:
        history.doors  # noqa: B018 - raises the sentence that asks for trust.
    report(
        f"checked the hashes of {history.state.events} events up to fingerprint {history.state.fingerprint}; decisions "
        "were not recomputed, since that runs code from outside: give --trust-code to do so"
    )
    return [
        *check_weights(history.state, history.journal.records, initial, store),
        *check_finishes(history, workdir),
        *check_test_accuracies(history, workdir),
    ]
