"""Train lineages of a run again, and compare accuracies and weights."""

import dataclasses
import math
import tempfile
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from jaxevo.data import Dataset
from jaxevo.environment.folders import cache_dir
from jaxevo.execution.lane import Lane
from jaxevo.execution.machine import describe_machine
from jaxevo.execution.measuring import measured
from jaxevo.execution.placement import lane_devices
from jaxevo.networks.compilation import use_persistent_cache
from jaxevo.networks.trainer import Trainer
from jaxevo.reports.verify.finishes import retrain_finishes
from jaxevo.search.births import Birth, Inherited, Outcome, Threshold
from jaxevo.search.doors import Doors
from jaxevo.settings import Execution, Settings
from jaxevo.storage.checkpoint import CheckpointError, WeightStore
from jaxevo.storage.history import History, Life
from jaxevo.storage.machine import Machine, differences
from jaxevo.storage.manifest import recorded_execution
from jaxevo.storage.workdir import Workdir, weight_names

Retrain = Literal["best"] | int
"""The lineages to train again: that of the best individual, or those of a number of random individuals."""

_TOLERANCE = 0.05
"""Tolerance of an accuracy on another machine: its last bits differ, and training amplifies the difference."""


def retrain_lineages(
    history: History,
    run: Workdir,
    dataset: Dataset,
    retrain: Retrain,
    store: WeightStore,
    report: Callable[[str], None],
) -> list[str]:
    """Trains lineages again from their first ancestors; returns a sentence for each difference.

    Args:
        history: of the run, recomputed.
        run: its work folder.
        dataset: its data set.
        retrain: lineages to train again.
        store: the run's weights, for those of a warm start.
        report: called with a sentence about each individual.
    """
    execution = recorded_execution(history.manifest)
    inexact = _inexact(history, _sessions_elsewhere(history, describe_machine(execution), report))
    chosen = [history.best.id] if retrain == "best" else _random_individuals(history, retrain)
    use_persistent_cache(cache_dir() / "executables")
    findings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="jaxevo-verify-") as folder:
        workdir, settings = Workdir(Path(folder)), history.manifest.settings
        trainer = _Retrainer(settings, history.doors, dataset, workdir, execution, store, inexact, report)
        for individual_id in chosen:
            lineage = [history.lives[ancestor.id] for ancestor in history.lineage(individual_id)]
            finding = trainer.retrain(lineage)
            equal = "within the tolerance" if any(life.individual.id in inexact for life in lineage) else "bit for bit"
            report(f"individual {individual_id}, {len(lineage)} generations: {finding or f'equal, {equal}'}")
            findings += [finding] if finding else []
    if retrain == "best" and not findings:
        findings += retrain_finishes(history, run, dataset, execution, _TOLERANCE, report)
    return list(dict.fromkeys(findings))


def _sessions_elsewhere(history: History, here: Machine, report: Callable[[str], None]) -> set[int]:
    """Returns the numbers of sessions whose machine was unlike this one, and reports in what."""
    elsewhere = set()
    for session in history.journal.sessions:
        when = "the run began" if session.number == 1 else f"session {session.number} trained"
        for difference in differences(here, session.machine):
            elsewhere.add(session.number)
            report(f"{difference} when {when}: bits may differ, so accuracies are compared within {_TOLERANCE}")
    return elsewhere


def _inexact(history: History, elsewhere: Container[int]) -> set[int]:
    """Returns ids of individuals that sessions elsewhere trained, or that inherit from such: their bits may differ."""
    attempts = history.journal.attempts
    begun_elsewhere = {attempt.id for attempt in attempts if attempt.session in elsewhere}
    continued = {(attempt.id, attempt.number) for attempt in attempts if attempt.first_step > 0}
    inexact: set[int] = set()
    for individual_id, life in history.lives.items():  # In the order of events, so that parents come first.
        inherits_other_bits = life.birth.inherited is not None and life.birth.parent_id in inexact
        has_other_steps = individual_id in begun_elsewhere and (individual_id, life.record.attempt) in continued
        if life.record.session in elsewhere or has_other_steps or inherits_other_bits:
            inexact.add(individual_id)
    return inexact


def _random_individuals(history: History, count: int) -> list[int]:
    """Returns ids of individuals drawn with the fingerprint as seed, so that another verification draws the same."""
    generator = np.random.default_rng(int(history.state.fingerprint, 16))
    ids = np.array(list(history.lives))
    return [int(one) for one in generator.choice(ids, size=min(count, len(ids)), replace=False)]


class _Retrainer:
    """Trains individuals again in a folder of its own, each one once."""

    def __init__(
        self,
        settings: Settings,
        doors: Doors,
        dataset: Dataset,
        workdir: Workdir,
        execution: Execution,
        store: WeightStore,
        inexact: Container[int],
        report: Callable[[str], None],
    ) -> None:
        trainer = Trainer(settings, dataset, lane_devices(execution)[0], execution.programs_in_memory, doors)
        self._lane = Lane(trainer, workdir, execution.checkpoint_seconds)
        self._space = doors.space
        self._workdir = workdir
        self._store = store
        self._inexact = inexact
        self._report = report
        self._outcomes: dict[int, Outcome] = {}
        self._test_accuracies: dict[int, float | None] = {}

    def retrain(self, lineage: Iterable[Life]) -> str | None:
        """Trains a lineage again; returns a sentence about the first individual that differs, None if none does."""
        for life in lineage:
            individual_id, recorded = life.individual.id, life.record.outcome
            exact = individual_id not in self._inexact
            if life.record.skipped:
                self._outcomes[individual_id] = recorded
            if individual_id not in self._outcomes:
                try:
                    self._outcomes[individual_id] = self._train(life)
                except CheckpointError as error:  # Weights of a warm start.
                    return str(error)
                self._report(f"trained individual {individual_id} again")
            difference = _difference(recorded, self._outcomes[individual_id], exact)
            if difference is None and exact and individual_id in self._test_accuracies:
                tested, noted = self._test_accuracies[individual_id], life.record.test_accuracy
                difference = None if tested == noted else f"its test accuracy is {tested}, but {noted} is recorded"
            if difference is not None:
                return f"individual {individual_id}, trained again: {difference}"
        return None

    def _train(self, life: Life) -> Outcome:
        birth = life.birth
        if birth.inherited is not None and birth.parent_id is None:
            self._copy_initial(birth.inherited)
        elif birth.inherited is not None and birth.parent_id is not None:
            parent = self._outcomes[birth.parent_id]
            if parent.weights is not None and parent.weights_sha256 is not None:
                inherited = Inherited(birth.inherited.genotype, parent.weights, parent.weights_sha256)
                birth = dataclasses.replace(birth, inherited=inherited)
        if birth.id in self._inexact:
            birth = dataclasses.replace(birth, thresholds=_as_stopped(birth, life.record.outcome))
        record = self._lane.train(birth, attempt=1, session=1, cancelled=lambda: False)
        self._test_accuracies[birth.id] = record.test_accuracy
        return record.outcome

    def _copy_initial(self, inherited: Inherited) -> None:
        """Copies weights of the run's warm start, from which no training is known."""
        if inherited.weights not in weight_names(self._workdir.weights):
            variables = self._store.load(inherited.weights, inherited.weights_sha256, inherited.genotype)
            copies = WeightStore(self._workdir.weights, self._space)
            copies.save(inherited.weights, inherited.genotype, variables)


def _difference(recorded: Outcome, again: Outcome, exact: bool) -> str | None:
    if not exact:
        if abs(recorded.accuracy - again.accuracy) <= _TOLERANCE:
            return None
        return f"its accuracy is {again.accuracy}, but {recorded.accuracy} is recorded"
    for name in ("failure", "checks", "stopped_at", "accuracy", "confusion", "loss", "weights_sha256"):
        if getattr(recorded, name) != getattr(again, name):
            return f"its {name} is {getattr(again, name)}, but {getattr(recorded, name)} is recorded"
    return None


def _as_stopped(birth: Birth, outcome: Outcome) -> tuple[Threshold, ...]:
    """Returns thresholds that stop a training at the recorded check, since other last bits may pass a close one."""
    return tuple(
        Threshold(threshold.step, math.inf if threshold.step == outcome.stopped_at else 0.0)
        for threshold in birth.thresholds
    )


def measure_again(history: History, report: Callable[[str], None]) -> list[str]:
    """Measures all individuals again, of a search space in which nothing is trained; returns the differences."""
    settings, task = history.manifest.settings, history.manifest.task
    findings = []
    for life in history.lives.values():
        again = measured(history.space, life.birth, task, settings.seed)
        if not life.record.skipped and again != life.individual.accuracy:
            findings.append(
                f"individual {life.individual.id}, measured again: its accuracy is {again}, but "
                f"{life.individual.accuracy} is recorded"
            )
    report(f"measured {len(history.lives)} individuals again")
    return findings
