"""Checks that the parts of a work folder belong to one run, and that its journal holds what evolution decides.

A part that was altered, lost, or put in from another copy would lead a resumed run astray, and have it remove weights
that the right one needs. And evolution recomputes every birth from the journal's outcomes: with an altered outcome, or
another version of the algorithm, it comes to genotypes that were never trained. So all that reads a run compares them.
`jaxevo.reports.verify` names every difference; here the first one is refused.
"""

from collections.abc import Iterable
from pathlib import Path

from jaxevo.search.births import Birth, birth_sha256
from jaxevo.search.evolution import EvolutionState
from jaxevo.storage.journal import JournalContent, JournalError
from jaxevo.storage.workdir import Workdir, WorkdirError, attempted, manifest_sha256, weight_names

_REMEDY = (
    "the journal was altered, or another version of jaxevo began the run. Restore the folder from a copy, or use that "
    "version; 'jaxevo verify' names all that differs"
)


def check_manifest(workdir: Workdir, content: JournalContent) -> None:
    """Raises `WorkdirError` if the manifest is not the one that the journal's sessions read."""
    found = manifest_sha256(workdir)
    if any(session.manifest_sha256 != found for session in content.sessions):
        raise WorkdirError(
            f"{workdir.manifest} is not the one that the run was begun with: restore it from a copy; for other "
            "settings begin another run. Nothing was changed"
        )


def check_journal(workdir: Workdir, content: JournalContent, state: EvolutionState | None) -> None:
    """Raises `WorkdirError` if the journal lacks the origin of a snapshot or of any weights.

    Args:
        workdir: of the run.
        content: of its journal.
        state: of its last snapshot, None if there is none.
    """
    told = {(snapshot.events, snapshot.fingerprint) for snapshot in content.snapshots}
    told |= {(stop.events, stop.fingerprint) for stop in content.stops}
    if state is not None and (state.events, state.fingerprint) not in told:
        raise WorkdirError(
            f"the snapshot {workdir.snapshots / str(state.events)} is not of the run that {workdir.journal} holds, or "
            "the journal lacks its end: restore the one that was replaced from a copy; where that is the snapshot, it "
            f"is enough to delete {workdir.snapshots}. Nothing was changed"
        )
    known = {(attempt.id, attempt.number) for attempt in content.attempts} | {None}
    for name in weight_names(workdir.weights):
        if attempted(name) not in known:
            raise WorkdirError(
                f"the weights {workdir.weights / name} are of a training that {workdir.journal} does not hold: the "
                "journal lacks its end, or is of another run; restore it from a copy. Nothing was changed"
            )


class DecisionCheck:
    """Compares what evolution decides with what the journal says it decided, while outcomes are told again."""

    def __init__(self, journal: Path, content: JournalContent) -> None:
        """Takes a journal's path, for messages, and its content."""
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
        """Raises `JournalError` for a birth that was trained as another one."""
        for birth in births:
            noted = self._births.get(birth.id)
            if noted is not None and noted != {birth_sha256(birth)}:
                raise JournalError(
                    f"{self._journal}: individual {birth.id} was trained as another one than evolution decides (a "
                    f"child of {birth.parent_id} by {birth.mutation}): {_REMEDY}"
                )

    def state(self, state: EvolutionState, asked: EvolutionState) -> None:
        """Raises `JournalError` if the journal notes another fingerprint.

        Args:
            state: after an event.
            asked: the same state asked for births. A signal stops a session before that or after.
        """
        noted = self._fingerprints.get(state.events, set())
        if not noted <= {state.fingerprint, asked.fingerprint}:
            raise JournalError(
                f"{self._journal}: the fingerprint after {state.events} events is {state.fingerprint}, but another "
                f"is noted: {_REMEDY}"
            )

    def end(self, asked: EvolutionState) -> None:
        """Raises `JournalError` if attempts, records and noted fingerprints do not fit together.

        Args:
            asked: the last state, asked for births.
        """
        last = max(self._fingerprints, default=0)
        if last > asked.events:
            raise JournalError(
                f"{self._journal} leads to {asked.events} events, but the run had {last}: the journal lacks records. "
                "Restore it from a copy. Nothing was changed"
            )
        for individual_id, record in self._records.items():
            if not record.skipped and (individual_id, record.attempt) not in self._attempted:
                raise JournalError(
                    f"{self._journal}: individual {individual_id} has a record, but no attempt at its training: "
                    f"{_REMEDY}"
                )
        later = max(self._births, default=-1)
        if later >= asked.births:
            raise JournalError(
                f"{self._journal}: individual {later} was trained, but evolution has not decided its birth: {_REMEDY}"
            )
