"""A run as its folder holds it, and the folder open for its one writer."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from jaxevo.search.evolution import EvolutionState
from jaxevo.search.space import SearchSpace
from jaxevo.spaces import space_from
from jaxevo.storage.checkpoint import SnapshotStore, TrainingStore, load_latest_snapshot, remove_weights
from jaxevo.storage.integrity import check_journal, check_manifest
from jaxevo.storage.journal import Journal, JournalContent, Record, Snapshot, read_journal
from jaxevo.storage.workdir import Manifest, Workdir, weight_names


@dataclass(frozen=True)
class StoredRun:
    """What sessions left in a work folder.

    Attributes:
        workdir: where it lies.
        manifest: what the run is.
        content: of the journal.
        state: of the last snapshot, None where there is none.
    """

    workdir: Workdir
    manifest: Manifest
    content: JournalContent = field(default_factory=JournalContent)
    state: EvolutionState | None = None

    @property
    def space(self) -> SearchSpace[Any]:
        """Whose genotypes evolve."""
        return space_from(self.manifest.settings)


def read_stored_run(workdir: Workdir, manifest: Manifest) -> StoredRun:
    """Reads a run that is to go on; changes nothing.

    Raises:
        WorkdirError: where the parts of the folder do not belong together.
        JournalError: where the journal is damaged.
    """
    content = read_journal(workdir.journal)
    state = load_latest_snapshot(workdir.snapshots, manifest)
    check_manifest(workdir, content)
    check_journal(workdir, content, state)
    return StoredRun(workdir, manifest, content, state)


class RunWriter:
    """Writes a session's part of a run; its folder's lock must be held.

    The order of writing makes a run survive a crash at any moment: weights are committed, then the journal's record is
    forced to disk, and only then may an outcome be told and anything that follows from it be begun.

    Attributes:
        journal: open for writing.
    """

    def __init__(self, run: StoredRun, events_a_snapshot: int) -> None:
        """Opens journal and snapshots, and removes unfinished trainings that nothing can go on from.

        Args:
            run: whose folder it is.
            events_a_snapshot: told events between two snapshots.
        """
        self.journal = Journal(run.workdir.journal)
        self._snapshots = SnapshotStore(run.workdir.snapshots, run.space)
        self._trainings = TrainingStore(run.workdir.training)
        attempted = {attempt.id for attempt in run.content.attempts}
        self._trainings.keep_only(lambda birth_id: birth_id in attempted and birth_id not in run.content.records)
        self._events_a_snapshot = events_a_snapshot
        self._weights = run.workdir.weights
        self._present = dict.fromkeys(weight_names(self._weights))
        run.workdir.result.unlink(missing_ok=True)  # It will be of another event.

    @property
    def weights_kept(self) -> int:
        """Number of weights in the folder, unfinished attempts left out."""
        return len(self._present)

    def first_step(self, birth_id: int) -> int:
        """Returns the step that the training of a birth can go on from, 0 without a checkpoint."""
        return self._trainings.last_step(birth_id)

    def keep(self, records: list[Record]) -> None:
        """Makes records durable; only then may they be told."""
        if not records:
            return
        self.journal.append(records)
        self._trainings.remove(record.outcome.id for record in records)
        for record in records:
            if record.outcome.weights is not None:
                self._present[record.outcome.weights] = None

    def told(self, state: EvolutionState) -> None:
        """Saves a snapshot of the state after an event, if one is due.

        The journal holds its fingerprint first: a snapshot of another run is noticed by it.
        """
        if state.events % self._events_a_snapshot == 0:
            self.journal.append([Snapshot(state.events, state.fingerprint)])
            self.snapshot(state)

    def snapshot(self, state: EvolutionState) -> None:
        """Saves a state whose fingerprint the journal holds; told events then need not be told again."""
        self._snapshots.save(state)

    def remove_all_but(self, needed: Iterable[str | None]) -> None:
        """Removes the weights that nobody needs any more."""
        # Weights of trainings that are just being saved are not among the present ones yet.
        kept = set(needed)
        unneeded = [name for name in self._present if name not in kept]
        remove_weights(self._weights, unneeded)
        for name in unneeded:
            del self._present[name]

    def close(self) -> None:
        """Closes journal and snapshots."""
        with contextlib.closing(self._snapshots):
            self.journal.close()

    def __enter__(self) -> Self:
        """Returns the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()
