"""The host loop: asks the evolution for births, has them trained, keeps what comes back, and tells it in order.

The order of writing is what makes a run survive a crash at any moment: weights are committed, then the journal's
record is forced to disk, and only then may an outcome be told and anything that follows from it be begun.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jaxevo.execution.executor import Executor
from jaxevo.search.evolution import Birth, EvolutionState, evolution
from jaxevo.settings import Limits
from jaxevo.storage.checkpoint import SnapshotStore, TrainingStore, remove_weights
from jaxevo.storage.history import task_of_manifest
from jaxevo.storage.integrity import DecisionCheck
from jaxevo.storage.journal import Journal, JournalContent, Record, Snapshot, next_told
from jaxevo.storage.workdir import Manifest, Workdir, weight_names

INTERRUPTED = "interrupted"
"""The stop reason of a run that a signal ended."""
FAILED = "failed"
"""The stop reason of a run that an error ended."""

_POLL_SECONDS = 0.25
_COLLECTIONS_A_POPULATION = 16


@dataclass(frozen=True)
class Progress:
    """How far a run is, for whoever watches.

    Attributes:
        state: of the evolution.
        limits: where this process is to end.
        session_events: events told by this process.
        session_seconds: since this process began to evolve.
        compile_seconds: spent compiling, by this process.
        train_seconds: spent training, by this process.
    """

    state: EvolutionState
    limits: Limits
    session_events: int
    session_seconds: float
    compile_seconds: float
    train_seconds: float

    @property
    def individuals_per_hour(self) -> float:
        """Events told an hour, by this process."""
        return 3600 * self.session_events / max(self.session_seconds, 1e-9)

    @property
    def compile_share(self) -> float:
        """Compiling's share of the lanes' time, in [0, 1]."""
        return self.compile_seconds / max(self.compile_seconds + self.train_seconds, 1e-9)


class Watcher:
    """Whoever watches a run; this one ignores all."""

    def notice(self, text: str) -> None:
        """Takes a sentence for the user."""

    def progressed(self, progress: Progress) -> None:
        """Takes the progress, after every event and several times a second."""


class HostLoop:
    """The state of the host loop and its steps."""

    def __init__(
        self,
        workdir: Workdir,
        manifest: Manifest,
        limits: Limits,
        content: JournalContent,
        state: EvolutionState | None,
        journal: Journal,
        snapshots: SnapshotStore,
        executor: Executor,
        watcher: Watcher,
        events_a_snapshot: int,
    ) -> None:
        """Takes up a run where `state` and the journal left it; `state` is None for one that has not begun."""
        self._settings = manifest.settings
        self._events_a_snapshot = events_a_snapshot
        self._order = manifest.order
        self._limits = limits
        self._stopped = content.stopped
        # Where the sessions before were to end; their clocks do not count.
        self._limits_before = [dataclasses.replace(one.limits, max_seconds=None) for one in content.sessions]
        self._evolution = evolution(manifest.settings, task_of_manifest(manifest))
        self._state = state if state is not None else self._evolution.init()
        self._journal = journal
        self._snapshots = snapshots
        self._executor = executor
        self._watcher = watcher
        self._weights = workdir.weights
        self._present = dict.fromkeys(weight_names(workdir.weights))
        self._collect_at = 0  # Present weights; what an earlier session left is looked through at once.
        # Records of individuals that were not told yet; told ones are the journal's affair.
        waiting = {birth.id for birth in self._state.in_flight}
        self._records = {
            individual_id: record
            for individual_id, record in content.records.items()
            if individual_id in waiting or individual_id >= self._state.births
        }
        self._check = DecisionCheck(workdir.journal, content)
        attempted = {attempt.id for attempt in content.attempts}
        self._trainings = TrainingStore(workdir.training)
        self._trainings.keep_only(lambda birth_id: birth_id in attempted and birth_id not in content.records)
        self._began = time.perf_counter()
        self._first_event = self._state.events
        self._untrained: list[Birth] = []
        self._compile_seconds = self._train_seconds = 0.0

    def until_stopped(self, interrupted: Callable[[], bool]) -> str:
        """Evolves until a limit is met or a signal comes; returns which."""
        self._take(self._state.in_flight)
        self._catch_up()
        while (reason := self._reached(self._limits)) is None:
            if interrupted():
                return INTERRUPTED
            self._ask()
            if len(self._present) >= self._collect_at:
                self._collect()
            record = self._next_record(interrupted)
            if record is None:
                return INTERRUPTED
            self._state = self._evolution.tell(self._state, record.outcome)
            if self._state.events % self._events_a_snapshot == 0:
                self._journal.append([Snapshot(self._state.events, self._state.fingerprint)])
                self.snapshot()
            self._watcher.progressed(self.progress())
        return reason

    def _catch_up(self) -> None:
        """Tells again what the sessions before have told since the snapshot, whatever this one is asked for.

        At an earlier event the run must not be left: the weights that only it needs may be gone.
        """
        while self._may_have_told_more():
            self._ask()
            told = next_told(self._state, self._records, self._settings.wall_clock, self._order)
            if told is None:
                break
            self._state = self._evolution.tell(self._state, self._records.pop(told).outcome)
        self._first_event = self._state.events

    def _may_have_told_more(self) -> bool:
        """Returns whether the sessions before may have come further; if the last was killed, nobody noted how far."""
        if self._stopped is not None:
            return self._state.events < self._stopped.events
        return any(self._reached(limits) is None for limits in self._limits_before)

    def _ask(self) -> None:
        self._state, births = self._evolution.ask(self._state)
        self._take(births)

    def _take(self, births: Iterable[Birth]) -> None:
        """Notes births to be trained, if they were not yet; raises `JournalError` for one once decided otherwise."""
        births = tuple(births)
        self._check.births(births)
        self._untrained += [birth for birth in births if birth.id not in self._records]

    def keep(self, records: list[Record]) -> None:
        """Makes records durable; only then they may be told."""
        if not records:
            return
        self._journal.append(records)
        self._trainings.remove(record.outcome.id for record in records)
        for record in records:
            self._records[record.outcome.id] = record
            self._compile_seconds += record.compile_seconds
            self._train_seconds += record.train_seconds
            if record.outcome.weights is not None:
                self._present[record.outcome.weights] = None

    def snapshot(self) -> None:
        """Saves the state, once the journal holds its fingerprint; told events then need not be told again."""
        self._snapshots.save(self._state)

    def progress(self) -> Progress:
        """Returns how far the run is."""
        return Progress(
            state=self._state,
            limits=self._limits,
            session_events=self._state.events - self._first_event,
            session_seconds=time.perf_counter() - self._began,
            compile_seconds=self._compile_seconds,
            train_seconds=self._train_seconds,
        )

    def _reached(self, limits: Limits) -> str | None:
        best = self._state.best
        return limits.reached(
            events=self._state.events,
            flops=self._state.total_flops,
            seconds=time.perf_counter() - self._began,
            accuracy=0.0 if best is None else best.fitness,
        )

    def _next_record(self, interrupted: Callable[[], bool]) -> Record | None:
        """Waits for the record that is told next; None when a signal came."""
        while (told := next_told(self._state, self._records, self._settings.wall_clock, self._order)) is None:
            if interrupted():
                return None
            # What the told events had born goes to the lanes together: they make its attempts durable in one write.
            self._executor.submit(self._untrained)
            self._untrained = []
            self.keep(self._executor.finished(_POLL_SECONDS))
            self._watcher.progressed(self.progress())
        return self._records.pop(told)

    def _collect(self) -> None:
        """Removes the weights that nobody needs any more.

        Needed are those of the living, of the best ever, of the parents of births without a durable record, and of
        finished individuals that were not told yet. Everything told is durable, so that a restart needs no other.
        """
        state = self._state
        needed = {individual.weights for individual in state.population}
        needed |= {
            birth.inherited.weights
            for birth in state.in_flight
            if birth.inherited is not None and birth.id not in self._records
        }
        needed |= {record.outcome.weights for record in self._records.values()}
        if state.best is not None:
            needed.add(state.best.weights)
        # Weights of trainings that are just being saved are not among the present ones yet.
        unneeded = [name for name in self._present if name not in needed]
        remove_weights(self._weights, unneeded)
        for name in unneeded:
            del self._present[name]
        # Looking through a whole population is too much for every event.
        self._collect_at = len(self._present) + max(1, self._settings.population_size // _COLLECTIONS_A_POPULATION)
