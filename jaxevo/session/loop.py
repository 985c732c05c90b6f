"""The host loop: ask the evolution for births, have them trained, keep the records, and tell outcomes in order."""

import dataclasses
import time
from collections.abc import Callable, Iterable

from jaxevo.execution.executor import Executor
from jaxevo.search.births import Birth, spent_flops
from jaxevo.search.population import Individual
from jaxevo.session.events import STOPPED
from jaxevo.session.progress import INTERRUPTED, Progress, Watcher
from jaxevo.settings import KeepName, Limits
from jaxevo.storage.history import evolution_of_manifest
from jaxevo.storage.integrity import DecisionCheck
from jaxevo.storage.journal import Record, next_told
from jaxevo.storage.stored_run import RunWriter, StoredRun

_POLL_SECONDS = 0.25
_COLLECTIONS_A_POPULATION = 16


class SessionClock:
    """The clock of a session, which begins when its command begins to read the data."""

    def __init__(self) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the clock was started."""
        return time.perf_counter() - self._began


class HostLoop:
    """The host loop of a session."""

    def __init__(
        self,
        run: StoredRun,
        limits: Limits,
        writer: RunWriter,
        executor: Executor,
        watcher: Watcher,
        clock: SessionClock | None = None,
        keep: KeepName = "living",
    ) -> None:
        """Restores the state of a run: tells again all that earlier sessions told since the last snapshot.

        Args:
            run: the run as earlier sessions left it.
            limits: limits of this session.
            writer: writer of the work folder.
            executor: trains the births.
            watcher: receives the progress.
            clock: clock of the session, for its limit on time; by default it begins now.
            keep: "all" to remove no weights.

        Raises:
            JournalError: if a decision differs from the one in the journal.
        """
        manifest, content = run.manifest, run.content
        self._settings = manifest.settings
        self._order = manifest.order
        self._limits = limits
        self._stopped = content.stopped
        # Limits on time are left out: the clocks of earlier sessions are gone.
        self._limits_before = [dataclasses.replace(one.limits, max_seconds=None) for one in content.sessions]
        self._space, self._task = run.doors.space, manifest.task
        self._evolution = evolution_of_manifest(manifest, run.doors)
        self._state = run.state if run.state is not None else self._evolution.init()
        # The state at the last event, before deaths make room for the next births. A run stops in this state; the next
        # session then decides the same deaths and births.
        self._told = self._state
        self._writer = writer
        self._executor = executor
        self._watcher = watcher
        self._clock = clock or SessionClock()
        self._keep = keep
        self._collect_at = 0  # Number of weights; 0 also collects what earlier sessions left.
        # Records of individuals that were not told yet.
        waiting = {birth.id for birth in self._state.in_flight}
        self._records = {
            individual_id: record
            for individual_id, record in content.records.items()
            if individual_id in waiting or individual_id >= self._state.births
        }
        self._check = DecisionCheck(run.workdir.journal, content)
        self._began = time.perf_counter()
        self._first_event = self._state.events
        self._untrained: list[Birth] = []
        self._compile_seconds = self._train_seconds = 0.0
        self._best_speed: float | None = None
        if (best := self._state.best) is not None:
            whole = [one for one in (best, *self._state.population) if content.records[one.id].attempt == 1]
            fittest = max(whole, key=lambda one: one.fitness, default=best)
            self._note_speed(fittest, content.records[fittest.id])
        self._take(self._state.in_flight)
        self._catch_up()

    def until_stopped(self, interrupted: Callable[[], bool]) -> str:
        """Evolves until a limit is reached or a signal arrives, and returns the stop reason."""
        limit = self._limits.max_seconds
        if limit is not None and self._clock.seconds < limit and self._out_of_time:
            finish = self._seconds(self._limits) - self._clock.seconds
            self._watcher.notice(
                f"max_seconds is {limit:g}, but the finish alone will take some {finish:,.0f} s, so that nobody else "
                "is trained: give more, or a smaller finish_share"
            )
        while (reason := self._reached(self._limits)) is None:
            if interrupted():
                return INTERRUPTED
            self._ask()
            if self._keep != "all" and self._writer.weights_kept >= self._collect_at:
                self._collect()
            record = self._next_record(lambda: interrupted() or self._out_of_time)
            if record is None:
                return INTERRUPTED if interrupted() else "max_seconds"
            self._tell(record)
            self._writer.told(self._state)
            self._watcher.progressed(self.progress())
            individual = self._state.population.find(record.outcome.id)
            if individual is not None and self._watcher.told(self._state, individual):
                return STOPPED
        return reason

    def _catch_up(self) -> None:
        """Tells again all that earlier sessions told since the snapshot, whatever the limits of this session.

        The run must not stop at an earlier event, because the weights needed there may have been removed.
        """
        while self._may_have_told_more():
            self._ask()
            self._check.state(self._told, self._state)
            told = next_told(self._state, self._records, self._settings.wall_clock, self._order)
            if told is None:
                break
            self._tell(self._records.pop(told))
        self._check.state(self._told, self._evolution.ask(self._told)[0])
        self._check.reaches(self._told.events)
        self._first_event = self._state.events

    def _may_have_told_more(self) -> bool:
        """Returns True if earlier sessions may have told more; a killed session leaves no note of how far it came."""
        if self._stopped is not None:
            return self._state.events < self._stopped.events
        return any(self._reached(limits) is None for limits in self._limits_before)

    def _ask(self) -> None:
        self._state, births = self._evolution.ask(self._state)
        self._take(births)

    def _tell(self, record: Record) -> None:
        asked, before = self._state, self._told
        self._state = self._told = self._evolution.tell(self._state, record.outcome)
        self._writer.note(asked, before, self._told, record.outcome.id)
        if self._state.best is not None and self._state.best.id == record.outcome.id:
            self._note_speed(self._state.best, record)

    def _note_speed(self, best: Individual, record: Record) -> None:
        """Notes the FLOPs a second of the best one's training, which its finish will have.

        A second attempt may have gone on from a checkpoint, and its seconds are of a part of the steps. Then the speed
        of the best one before it stays.
        """
        if record.attempt == 1 or self._best_speed is None:
            flops = spent_flops(best.cost, record.outcome, self._settings, self._task)
            self._best_speed = flops / max(record.train_seconds, 1e-9)

    def _take(self, births: Iterable[Birth]) -> None:
        """Notes births to train; raises `JournalError` if a birth differs from the one in the journal."""
        births = tuple(births)
        self._check.births(births)
        self._writer.decided(births)
        self._untrained += [birth for birth in births if birth.id not in self._records]

    def skip(self, records: list[Record]) -> None:
        """Keeps records of births in training that the user has skipped, in place of training them on."""
        self.keep(records)
        skipped = {record.outcome.id for record in records}
        self._untrained = [birth for birth in self._untrained if birth.id not in skipped]

    def keep(self, records: list[Record]) -> None:
        """Makes records durable, and keeps them until their outcomes are told."""
        self._writer.keep(records)
        for record in records:
            self._records[record.outcome.id] = record
            self._compile_seconds += record.compile_seconds
            self._train_seconds += record.train_seconds

    def progress(self) -> Progress:
        """Returns the progress of the run."""
        lanes = self._executor.lanes
        # Lanes take whatever was submitted; only the rest of the births in flight is left to train.
        unfinished = len(self._state.in_flight) - len(self._records)
        return Progress(
            state=self._told,
            limits=self._limits,
            session_events=self._told.events - self._first_event,
            session_seconds=time.perf_counter() - self._began,
            compile_seconds=self._compile_seconds,
            train_seconds=self._train_seconds,
            space=self._space,
            task=self._task,
            lanes=lanes,
            busy_lanes=max(0, min(lanes, unfinished)),
        )

    def _reached(self, limits: Limits) -> str | None:
        return limits.reached(
            events=self._state.events,
            flops=self._state.total_flops,
            seconds=self._seconds(limits),
            accuracy=self._state.best_accuracy,
        )

    @property
    def _out_of_time(self) -> bool:
        """True if the session's time is over; trainings in flight are then dropped, as after a signal."""
        limit = self._limits.max_seconds
        return limit is not None and self._seconds(self._limits) >= limit

    def _seconds(self, limits: Limits) -> float:
        """Returns the seconds so far, with those that the finish will take at the speed of the best one's training.

        The finish has an accelerator to itself, which the best one's training shared with other lanes. Spaces need not
        count FLOPs; nothing is finished then.
        """
        if not limits.finish_share or not self._best_speed:
            return self._clock.seconds
        speed = self._best_speed * self._executor.lanes_per_accelerator
        return self._clock.seconds + limits.finish_share * self._state.total_flops / speed

    def _next_record(self, stopped: Callable[[], bool]) -> Record | None:
        """Waits for the record that is told next and returns it, None once the session must stop."""
        while (told := next_told(self._state, self._records, self._settings.wall_clock, self._order)) is None:
            if stopped():
                return None
            # Submit all births since the last wait together: a cluster makes their attempts durable in one write.
            self._executor.submit(self._untrained)
            self._untrained = []
            self.keep(self._executor.finished(_POLL_SECONDS))
            self._watcher.progressed(self.progress())
        return self._records.pop(told)

    def _collect(self) -> None:
        """Removes the weights that are no longer needed.

        It keeps the weights of the population at the last event, of the best individual, of the parents of births
        without a durable record, and of finished individuals that were not told yet. Every told outcome is durable, so
        that a resumed run needs no others.
        """
        state = self._state
        needed = {individual.weights for individual in self._told.population}
        needed |= {
            birth.inherited.weights
            for birth in state.in_flight
            if birth.inherited is not None and birth.id not in self._records
        }
        needed |= {record.outcome.weights for record in self._records.values()}
        if state.best is not None:
            needed.add(state.best.weights)
        self._writer.remove_all_but(needed)
        # Scanning the whole population at every event would be too slow.
        step = max(1, self._settings.population_size // _COLLECTIONS_A_POPULATION)
        self._collect_at = self._writer.weights_kept + step
