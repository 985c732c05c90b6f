"""Verify that a run follows from its seed, its settings and its recorded outcomes.

All decisions are recomputed and compared with the journal, the snapshots and the result, and all kept weights are
hashed. Only retraining finds outcomes that are consistent but were never trained.
"""

import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from jaxevo.data import Dataset
from jaxevo.doors.trust import NOTHING, Trust
from jaxevo.environment.folders import cache_dir
from jaxevo.execution.lane import Lane
from jaxevo.execution.measuring import measured
from jaxevo.execution.placement import lane_devices
from jaxevo.networks.compilation import use_persistent_cache
from jaxevo.networks.trainer import Trainer
from jaxevo.reports.overview import read_result
from jaxevo.reports.verify_finish import check_finishes, retrain_finishes
from jaxevo.search.births import Birth, Inherited, Initial, Outcome, Threshold, birth_sha256, json_sha256
from jaxevo.search.doors import Doors
from jaxevo.search.evolution import EvolutionState
from jaxevo.search.space import Task
from jaxevo.session.run import machine_differences
from jaxevo.settings import Execution, Settings
from jaxevo.storage.checkpoint import CheckpointError, WeightStore, load_snapshots
from jaxevo.storage.descriptions import describe
from jaxevo.storage.history import History, Life, evolution_of_manifest, recompute_states
from jaxevo.storage.journal import JournalContent, Record
from jaxevo.storage.manifest import Manifest, recorded_execution
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.warm_start import initial_individuals
from jaxevo.storage.workdir import Workdir, WorkdirError, weight_names

Retrain = Literal["best"] | int
"""The lineages to train again: that of the best individual, or those of a number of random individuals."""

_TOLERANCE = 0.05
"""Tolerance of an accuracy on another machine: its last bits differ, and training amplifies the difference."""


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
    history = History(workdir, check_decisions=False, trust=trust)
    manifest, content = history.manifest, history.journal
    space = history.space
    initial, store = initial_individuals(manifest.warm_start, space), WeightStore(workdir.weights, space)
    if not history.recomputed:
        return _recorded(history, initial, store, retrain, report)
    # After `ask`, because weights of individuals that die for the next births may already be removed.
    asked, _ = evolution_of_manifest(manifest, history.doors).ask(history.state)
    findings = [
        *_decisions(history, asked),
        *_described(history, manifest.task),
        *_states(manifest, history.doors, content, workdir),
        *_weights(asked, content.records, initial, store),
        *check_finishes(history, workdir),
        *_test_accuracies(history, workdir),
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
        return findings if retrain is None else [*findings, *_measured_again(history, report)]
    try:
        dataset = load_run_data(workdir, manifest, dataset_place, report)
    except WorkdirError as error:
        return [*findings, str(error)]
    if retrain is not None:
        findings += _retrain(history, workdir, dataset, retrain, store, report)
    return findings


def _measured_again(history: History, report: Callable[[str], None]) -> list[str]:
    """Measures all individuals again, of a search space in which nothing is trained."""
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


def _recorded(
    history: History,
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
    return _weights(history.state, history.journal.records, initial, store)


def _described(history: History, task: Task) -> list[str]:
    """Compares the descriptions of births and events in the journal with what was recomputed."""
    findings = []
    for told in history.journal.told:
        life = history.lives.get(told.id)
        description = history.journal.descriptions.get(told.id)
        if life is None or description is None:
            findings.append(f"journal: event {told.event} is of individual {told.id}, which has no description")
        elif (told.event, told.fitness) != (life.event, life.individual.fitness):
            findings.append(f"journal: event {told.event} is not what the evolution decides")
        elif json_sha256(vars(describe(life.birth, history.space, task))) != json_sha256(vars(description)):
            findings.append(f"journal: individual {told.id} is not described as its search space does")
    return findings


def _decisions(history: History, asked: EvolutionState) -> list[str]:
    """Compares the births in the journal with the evolution's decisions."""
    births = {birth.id: birth for birth in (*(life.birth for life in history.lives.values()), *asked.in_flight)}
    attempted = set()
    findings = []
    for attempt in history.journal.attempts:
        attempted.add((attempt.id, attempt.number))
        birth = births.get(attempt.id)
        if birth is None:
            findings.append(f"journal: individual {attempt.id} was trained, but the evolution never decided its birth")
        elif birth_sha256(birth) != attempt.birth_sha256:
            findings.append(
                f"journal: individual {attempt.id} is not what the evolution decides (a child of {birth.parent_id} by "
                f"{birth.mutation}), so an earlier outcome or the settings were altered"
            )
    for record in history.journal.records.values():
        if not record.skipped and (record.outcome.id, record.attempt) not in attempted:
            findings.append(f"journal: individual {record.outcome.id} has a record, but no attempt")
    return findings


def _states(manifest: Manifest, doors: Doors, content: JournalContent, workdir: Workdir) -> list[str]:
    """Compares the states that sessions, snapshots and the result left with those recomputed."""
    try:
        snapshots = load_snapshots(workdir.snapshots, manifest, doors.space)
        findings = []
    except CheckpointError as error:
        snapshots, findings = {}, [str(error)]
    ends = {stop.events: stop.fingerprint for stop in content.stops}
    result = read_result(workdir.path)
    if workdir.result.exists() and not result:
        findings.append("result.json: it is damaged; delete it, it only sums the run up")
    last = 0
    for state, asked in recompute_states(manifest, doors, content.records, {}):
        last = state.events
        if result.get("individuals") == last:
            findings += _result(result, state)
        if last not in ends and last not in snapshots:
            continue
        # A signal may arrive before or after `ask`.
        states = (state, asked)
        fingerprints = [one.fingerprint for one in states]
        if last in ends and ends[last] not in fingerprints:
            findings.append(f"journal: the fingerprint at the end of the session after {last} events differs")
        if last in snapshots and snapshots[last] not in states:
            findings.append(f"snapshot {last}: it is not the state after {last} events")
    left: dict[str, Iterable[int]] = {
        "the end of a session": ends,
        "a snapshot": snapshots,
        "result.json": [result.get("individuals", 0)],
    }
    for name, events in left.items():
        findings += [
            f"{name} is of {event} events, but the journal leads to {last}" for event in events if event > last
        ]
    return findings


def _result(result: dict[str, object], state: EvolutionState) -> list[str]:
    best = state.best_trained
    expected: dict[str, object] = {
        "fingerprint": state.fingerprint,
        "best_id": None if best is None else best.id,
        "best_validation_accuracy": None if best is None else best.accuracy,
    }
    return _unlike(result, expected)


def _unlike(result: dict[str, object], expected: dict[str, object]) -> list[str]:
    return [
        f"result.json: {name} is {result.get(name)!r}, but must be {value!r}"
        for name, value in expected.items()
        if result.get(name) != value
    ]


def _test_accuracies(history: History, workdir: Workdir) -> list[str]:
    """Compares the test accuracies of the result with those of the journal and of the finish."""
    result, best = read_result(workdir.path), history.state.best_trained
    if best is None or result.get("fingerprint") != history.state.fingerprint:
        return []
    expected: dict[str, object] = {"best_test_accuracy": history.lives[best.id].record.test_accuracy}
    # A finish may be newer than the result, if measuring it was cut short.
    if result.get("finished_test_accuracy") is not None:
        expected["finished_test_accuracy"] = None if history.finish is None else history.finish.test_accuracy
    return _unlike(result, expected)


def _weights(
    state: EvolutionState, records: Mapping[int, Record], initial: Sequence[Initial], store: WeightStore
) -> list[str]:
    """Hashes all weights that a run must have kept in this state, those of a warm start included."""
    kept = {one.id: (one.weights, one.weights_sha256, one.genotype) for one in state.population}
    if state.best is not None:
        kept[state.best.id] = (state.best.weights, state.best.weights_sha256, state.best.genotype)
    for birth in state.in_flight:
        if birth.id in records:
            outcome = records[birth.id].outcome
            kept[birth.id] = (outcome.weights, outcome.weights_sha256, birth.genotype)
        elif birth.inherited is not None and birth.parent_id is not None:
            inherited = birth.inherited
            kept[birth.parent_id] = (inherited.weights, inherited.weights_sha256, inherited.genotype)
    begun = [one.inherited for one in initial if one.inherited is not None]
    copied = [(one.weights, one.weights_sha256, one.genotype) for one in begun]
    findings = []
    for name, sha256, genotype in (*copied, *kept.values()):
        if name is None or sha256 is None:
            continue  # Its training failed, or nothing is trained.
        findings += store.damage(name, sha256, genotype)
    return findings


def _retrain(
    history: History,
    run: Workdir,
    dataset: Dataset,
    retrain: Retrain,
    store: WeightStore,
    report: Callable[[str], None],
) -> list[str]:
    """Trains lineages again from their first ancestors, and compares accuracies and weights."""
    execution = recorded_execution(history.manifest)
    differences = machine_differences(history.manifest, execution)
    for difference in differences:
        report(f"{difference} when the run began: bits may differ, so accuracies are compared within {_TOLERANCE}")
    chosen = [history.best.id] if retrain == "best" else _random_individuals(history, retrain)
    use_persistent_cache(cache_dir() / "executables")
    findings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="jaxevo-verify-") as folder:
        workdir, settings = Workdir(Path(folder)), history.manifest.settings
        exact = not differences
        trainer = _Retrainer(settings, history.doors, dataset, workdir, execution, store, exact, report)
        for individual_id in chosen:
            lineage = [history.lives[ancestor.id] for ancestor in history.lineage(individual_id)]
            finding = trainer.retrain(lineage)
            equal = "within the tolerance" if differences else "bit for bit"
            report(f"individual {individual_id}, {len(lineage)} generations: {finding or f'equal, {equal}'}")
            findings += [finding] if finding else []
    if retrain == "best" and not findings:
        findings += retrain_finishes(history, run, dataset, execution, _TOLERANCE, report)
    return list(dict.fromkeys(findings))


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
        exact: bool,
        report: Callable[[str], None],
    ) -> None:
        trainer = Trainer(settings, dataset, lane_devices(execution)[0], execution.programs_in_memory, doors)
        self._lane = Lane(trainer, workdir, execution.checkpoint_seconds)
        self._space = doors.space
        self._workdir = workdir
        self._store = store
        self._exact = exact
        self._report = report
        self._outcomes: dict[int, Outcome] = {}
        self._test_accuracies: dict[int, float | None] = {}

    def retrain(self, lineage: Iterable[Life]) -> str | None:
        """Trains a lineage again; returns a sentence about the first individual that differs, None if none does."""
        for life in lineage:
            individual_id, recorded = life.individual.id, life.record.outcome
            if life.record.skipped:
                self._outcomes[individual_id] = recorded
            if individual_id not in self._outcomes:
                try:
                    self._outcomes[individual_id] = self._train(life)
                except CheckpointError as error:  # Weights of a warm start.
                    return str(error)
                self._report(f"trained individual {individual_id} again")
            difference = self._difference(recorded, self._outcomes[individual_id])
            if difference is None and self._exact and individual_id in self._test_accuracies:
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
        if not self._exact:
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

    def _difference(self, recorded: Outcome, again: Outcome) -> str | None:
        if not self._exact:
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
