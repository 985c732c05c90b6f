"""Check that the parts of a work folder belong to one run, and that its journal agrees with the evolution's decisions.

If a part was altered, lost, or copied from another run, a resumed run would go wrong and remove weights that are still
needed. And the evolution recomputes every birth from the recorded outcomes: after an altered outcome, or with another
version of the algorithm, it decides births that were never trained. So every reader of a run makes these checks and
stops at the first difference; `jaxevo.reports.verify` names all of them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxevo.search.births import Birth, birth_sha256
from jaxevo.search.evolution import EvolutionState
from jaxevo.storage.journal import JournalContent, JournalError, Record
from jaxevo.storage.manifest import manifest_sha256
from jaxevo.storage.workdir import Workdir, WorkdirError, attempted, weight_names

_REMEDY = (
    "the journal was altered, or another version of jaxevo began the run. Restore the folder from a copy, or use that "
    "version; 'jaxevo verify' lists all differences"
)


def check_manifest(workdir: Workdir, content: JournalContent) -> None:
    """Raises `WorkdirError` if the manifest is not the one that the run's sessions read."""
    found = manifest_sha256(workdir)
    if any(session.manifest_sha256 != found for session in content.sessions):
        raise WorkdirError(
            f"{workdir.manifest} is not the one that the run began with: restore it from a copy, or begin another run "
            "for other settings. Nothing was changed"
        )


def check_journal(workdir: Workdir, content: JournalContent, state: EvolutionState | None) -> None:
    """Raises `WorkdirError` if the journal does not account for the last snapshot, its individuals, or any weights.

    Args:
        workdir: work folder of the run.
        content: content of its journal.
        state: state of the last snapshot, None if there is none.
    """
    told = {(snapshot.events, snapshot.fingerprint) for snapshot in content.snapshots}
    told |= {(stop.events, stop.fingerprint) for stop in content.stops}
    if state is not None and (state.events, state.fingerprint) not in told:
        raise WorkdirError(
            f"the snapshot {workdir.snapshots / str(state.events)} does not belong to the run in {workdir.journal}, or "
            "the end of the journal is missing: restore the one that was replaced from a copy; if it is the snapshot, "
            f"deleting {workdir.snapshots} is enough. Nothing was changed"
        )
    if state is not None:
        _check_individuals(workdir, content.records, state)
    known = {(attempt.id, attempt.number) for attempt in content.attempts} | {None}
    for name in weight_names(workdir.weights):
        if attempted(name) not in known:
            raise WorkdirError(
                f"the weights {workdir.weights / name} are of a training that is not in {workdir.journal}: the end of "
                "the journal is missing, or it is of another run; restore it from a copy. Nothing was changed"
            )


def _check_individuals(workdir: Workdir, records: Mapping[int, Record], state: EvolutionState) -> None:
    """Raises `WorkdirError` unless a snapshot's individuals are those of the records."""
    waiting = {birth.id for birth in state.in_flight}
    missing = [number for number in range(state.births) if number not in waiting and number not in records]
    if missing:
        raise WorkdirError(
            f"{workdir.journal} has no record of individual {missing[0]}, which the snapshot after {state.events} "
            f"events has told: {len(missing)} records are missing. Restore it from a copy. Nothing was changed"
        )
    for individual in (*state.population, *((state.best,) if state.best is not None else ())):
        outcome = records[individual.id].outcome
        if (individual.accuracy, individual.weights, individual.weights_sha256) != (
            outcome.accuracy,
            outcome.weights,
            outcome.weights_sha256,
        ):
            raise WorkdirError(
                f"{workdir.journal}: individual {individual.id} has another outcome than in the snapshot after "
                f"{state.events} events: {_REMEDY}. Nothing was changed"
            )


class DecisionCheck:
    """Compares the evolution's decisions with the journal while outcomes are told again."""

    def __init__(self, journal: Path, content: JournalContent) -> None:
        """Reads the decisions from a journal's content; `journal` is its path, for messages."""
        self._journal = journal
        self._births: dict[int, set[str]] = {}
        for attempt in content.attempts:
            self._births.setdefault(attempt.id, set()).add(attempt.birth_sha256)
        self._attempted = {(attempt.id, attempt.number) for attempt in content.attempts}
        self._records = content.records
        self._fingerprints: dict[int, set[str]] = {}
        noted = [(one.events, one.fingerprint) for one in content.snapshots]
        noted += [(one.events, one.fingerprint) for one in content.stops]
        for events, fingerprint in noted:
            self._fingerprints.setdefault(events, set()).add(fingerprint)

    def births(self, births: Iterable[Birth]) -> None:
        """Raises `JournalError` if a birth differs from the one that was trained."""
        for birth in births:
            noted = self._births.get(birth.id)
            if noted is not None and noted != {birth_sha256(birth)}:
                raise JournalError(
                    f"{self._journal}: individual {birth.id} was trained as another birth than the evolution decides "
                    f"(a child of {birth.parent_id} by {birth.mutation}): {_REMEDY}"
                )

    def state(self, state: EvolutionState, asked: EvolutionState) -> None:
        """Raises `JournalError` if the journal has another fingerprint for this event.

        Args:
            state: state after an event.
            asked: the same state after `ask`. A signal may stop a session before or after it.
        """
        noted = self._fingerprints.get(state.events, set())
        if not noted <= {state.fingerprint, asked.fingerprint}:
            raise JournalError(
                f"{self._journal}: the fingerprint after {state.events} events is {state.fingerprint}, but another is "
                f"recorded: {_REMEDY}"
            )

    def reaches(self, events: int) -> None:
        """Raises `JournalError` if the run had more events than its records lead to."""
        last = max(self._fingerprints, default=0)
        if last > events:
            raise JournalError(
                f"{self._journal} leads to {events} events, but the run had {last}: records are missing. "
                "Restore it from a copy. Nothing was changed"
            )

    def end(self, asked: EvolutionState) -> None:
        """Raises `JournalError` if attempts, records and fingerprints contradict each other.

        Args:
            asked: the last state after `ask`.
        """
        self.reaches(asked.events)
        for individual_id, record in self._records.items():
            if not record.skipped and (individual_id, record.attempt) not in self._attempted:
                raise JournalError(
                    f"{self._journal}: individual {individual_id} has a record, but no attempt: {_REMEDY}"
                )
        later = max(self._births, default=-1)
        if later >= asked.births:
            raise JournalError(
                f"{self._journal}: individual {later} was trained, but the evolution has not decided its birth: "
                f"{_REMEDY}"
            )
