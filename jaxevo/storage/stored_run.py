"""A run as stored in its work folder, and its only writer."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from jaxevo.search.births import Birth
from jaxevo.search.doors import Doors
from jaxevo.search.evolution import EvolutionState
from jaxevo.storage.checkpoint import SnapshotStore, TrainingStore, load_latest_snapshot, remove_weights
from jaxevo.storage.descriptions import Told, describe
from jaxevo.storage.integrity import check_journal, check_manifest
from jaxevo.storage.journal import Journal, JournalContent, Record, Snapshot, Start, read_journal
from jaxevo.storage.manifest import Manifest
from jaxevo.storage.warm_start import is_initial
from jaxevo.storage.workdir import Workdir, weight_names


@dataclass(frozen=True)
class StoredRun:
    """A run as earlier sessions left it in its work folder.

    Attributes:
        workdir: the work folder.
        manifest: the manifest.
        doors: the doors of the run, opened.
        content: content of the journal.
        state: state of the last snapshot, None if there is none.
    """

    workdir: Workdir
    manifest: Manifest
    doors: Doors
    content: JournalContent = field(default_factory=JournalContent)
    state: EvolutionState | None = None


def read_stored_run(workdir: Workdir, manifest: Manifest, doors: Doors) -> StoredRun:
    """Reads a run to resume; changes nothing.

    Raises:
        WorkdirError: if the parts of the folder do not belong together.
        JournalError: if the journal is damaged.
    """
    content = read_journal(workdir.journal)
    state = load_latest_snapshot(workdir.snapshots, manifest, doors.space)
    check_manifest(workdir, content)
    check_journal(workdir, content, state)
    return StoredRun(workdir, manifest, doors, content, state)


class RunWriter:
    """The writer of a session; requires the lock of the work folder.

    The order of writing lets a run survive a crash at any moment: first the weights are committed, then the record is
    forced to disk, and only then may the outcome be told and anything that depends on it start.

    Attributes:
        journal: the journal, open for writing.
    """

    def __init__(self, run: StoredRun, events_a_snapshot: int) -> None:
        """Opens journal and snapshots, and removes training checkpoints that are of no more use.

        Args:
            run: the stored run.
            events_a_snapshot: events between two snapshots.
        """
        self.journal = Journal(run.workdir.journal)
        self._snapshots = SnapshotStore(run.workdir.snapshots, run.doors.space)
        self._trainings = TrainingStore(run.workdir.training)
        attempted = {attempt.id for attempt in run.content.attempts}
        self._trainings.keep_only(lambda birth_id: birth_id in attempted and birth_id not in run.content.records)
        self._events_a_snapshot = events_a_snapshot
        self._weights, self._result = run.workdir.weights, run.workdir.result
        self._describes = bool(run.manifest.doors)
        self._described, self._noted = set(run.content.descriptions), len(run.content.told)
        self._space, self._task = run.doors.space, run.manifest.task
        # Those of a warm start stay for good.
        self._present = {name: None for name in weight_names(self._weights) if not is_initial(name)}

    @property
    def weights_kept(self) -> int:
        """Number of trained weights in the folder, without those of unfinished attempts."""
        return len(self._present)

    def begin(self, start: Start) -> None:
        """Records the start of a session, and removes the result of the earlier ones, which is then out of date."""
        self.journal.append([start])
        self._result.unlink(missing_ok=True)

    def first_step(self, birth_id: int) -> int:
        """Returns the step from which the training of a birth can continue, 0 without a checkpoint."""
        return self._trainings.last_step(birth_id)

    def keep(self, records: list[Record]) -> None:
        """Makes records durable; only then may their outcomes be told."""
        if not records:
            return
        self.journal.append(records)
        self._trainings.remove(record.outcome.id for record in records)
        for record in records:
            if record.outcome.weights is not None:
                self._present[record.outcome.weights] = None

    def decided(self, births: Iterable[Birth]) -> None:
        """Describes births in the journal, for readers that may not run the doors of the run."""
        for birth in births:
            if self._describes and birth.id not in self._described:
                self._described.add(birth.id)
                self.journal.append_later(describe(birth, self._space, self._task))

    def note(self, asked: EvolutionState, before: EvolutionState, told: EvolutionState, individual_id: int) -> None:
        """Notes an event in the journal, for readers that may not run the doors of the run.

        Args:
            asked: the state before the event.
            before: the same state before `ask`, with those that died for the next births.
            told: the state after the event.
            individual_id: that was told.
        """
        individual = told.population.find(individual_id)
        if not self._describes or told.events <= self._noted or individual is None:
            return
        self._noted = told.events
        dead = tuple(one.id for one in before.population.without(asked.population))
        facts = told.events, individual_id, individual.fitness, told.clock, told.total_flops, dead, told.fingerprint
        self.journal.append_later(Told(*facts))

    def told(self, state: EvolutionState) -> None:
        """Saves a snapshot of the state after an event, if one is due.

        The journal gets its fingerprint first, by which a snapshot of another run is detected.
        """
        if state.events % self._events_a_snapshot == 0:
            self.journal.append([Snapshot(state.events, state.fingerprint)])
            self.snapshot(state)

    def snapshot(self, state: EvolutionState) -> None:
        """Saves a state whose fingerprint is in the journal, so that a resumed run need not tell its events again."""
        self._snapshots.save(state)

    def remove_all_but(self, needed: Iterable[str | None]) -> None:
        """Removes all trained weights but those in `needed`."""
        # `_present` omits weights that a lane is still saving, so they are safe.
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
        """Closes journal and snapshots."""
        self.close()
