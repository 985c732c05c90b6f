"""Compare what a run has written with what follows from its seed, its settings and its recorded outcomes.

Each check returns a sentence for each difference.
"""

from collections.abc import Iterable, Mapping, Sequence

from jaxevo.reports.overview import read_result
from jaxevo.search.births import Initial, birth_sha256, json_sha256
from jaxevo.search.evolution import EvolutionState
from jaxevo.storage.checkpoint import CheckpointError, WeightStore, load_snapshots
from jaxevo.storage.descriptions import describe
from jaxevo.storage.history import History, recompute_states
from jaxevo.storage.journal import Record
from jaxevo.storage.workdir import Workdir


def check_decisions(history: History, asked: EvolutionState) -> list[str]:
    """Compares the births in the journal with the evolution's decisions.

    Args:
        history: of the run, recomputed.
        asked: the last state, after its births were decided.
    """
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


def check_descriptions(history: History) -> list[str]:
    """Compares the descriptions of births and events in the journal with what was recomputed."""
    task, findings = history.manifest.task, []
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


def check_states(history: History, workdir: Workdir) -> list[str]:
    """Compares the states that sessions, snapshots and the result left with those recomputed."""
    manifest, doors, content = history.manifest, history.doors, history.journal
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


def check_test_accuracies(history: History, workdir: Workdir) -> list[str]:
    """Compares the test accuracies of the result with those of the journal and of the finish."""
    result, best = read_result(workdir.path), history.state.best_trained
    if best is None or result.get("fingerprint") != history.state.fingerprint:
        return []
    expected: dict[str, object] = {"best_test_accuracy": history.lives[best.id].record.test_accuracy}
    # A finish may be newer than the result, if measuring it was cut short.
    if result.get("finished_test_accuracy") is not None:
        expected["finished_test_accuracy"] = None if history.finish is None else history.finish.test_accuracy
    return _unlike(result, expected)


def check_weights(
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
