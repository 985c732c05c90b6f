"""The history of a run: every individual that ever lived, derived from manifest and journal."""

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxevo.doors.opening import DoorError, check_named, kept_sources, open_recorded
from jaxevo.doors.trust import NOTHING, Trust, allowed
from jaxevo.search.births import Birth, spent_flops
from jaxevo.search.doors import Doors
from jaxevo.search.evolution import Evolution, EvolutionState, evolution, first_state
from jaxevo.search.pareto import Point, fronts
from jaxevo.search.population import Individual
from jaxevo.search.selection import point_of
from jaxevo.search.space import SearchSpace
from jaxevo.settings import Settings
from jaxevo.storage.descriptions import RecordedSpace
from jaxevo.storage.finish import Finish, read_finishes
from jaxevo.storage.integrity import DecisionCheck, check_manifest
from jaxevo.storage.journal import Record, next_told, read_journal
from jaxevo.storage.manifest import Manifest, read_manifest
from jaxevo.storage.recorded import recorded_events
from jaxevo.storage.warm_start import initial_individuals
from jaxevo.storage.workdir import Workdir

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Life:
    """An individual with its place in the run.

    Attributes:
        individual: the individual.
        event: event that told its outcome, from 1.
        virtual_seconds: virtual clock at that event.
        record: record of its training.
        death: last event at which it lived, None while it lives.
        birth: its birth.
    """

    individual: Individual
    event: int
    virtual_seconds: float
    record: Record
    death: int | None
    birth: Birth


class Row(NamedTuple):
    """The columns of a history that all search spaces share; see `Life`, `Record` and `Outcome`. Times are in seconds.

    `flops` and `steps` count what was done until the end of the training or its early stop.
    """

    id: int
    event: int
    parent_id: int | None
    mutation: str | None
    fitness: float
    validation_accuracy: float
    test_accuracy: float | None
    failure: str | None
    death: int | None
    virtual_seconds: float
    flops: int
    steps: int
    checks: tuple[float, ...]
    compile_seconds: float
    train_seconds: float
    finished: float
    session: int
    genotype: dict[str, Any]


class History:
    """The whole run up to its last event, computed without training.

    Attributes:
        manifest: the manifest.
        journal: content of the journal.
        lives: all individuals by id, in the order of events.
        state: state after the last event.
        space: search space of the run. Without trust in one from outside, what the journal says of it.
    """

    def __init__(
        self,
        workdir: Workdir,
        max_events: int | None = None,
        check_decisions: bool = True,
        trust: Trust = NOTHING,
    ) -> None:
        """Computes the history of a run, or of its first `max_events` events.

        Args:
            workdir: work folder of the run.
            max_events: number of events; None for all.
            check_decisions: True to compare every birth and fingerprint with the journal. Only a caller that reports
                each difference itself may pass False.
            trust: whose code may run.

        Raises:
            ValueError: if the folder holds no run or is damaged, or its decisions differ from those computed.
        """
        self._workdir = workdir
        self.manifest = read_manifest(workdir)
        self.lives: dict[int, Life] = {}
        self.journal = read_journal(workdir.journal)
        check_manifest(workdir, self.journal)
        check = DecisionCheck(workdir.journal, self.journal) if check_decisions else None
        last = max_events
        if last is None and self.journal.stopped is not None:
            last = self.journal.stopped.events
        self._doors: Doors | None = None
        if not allowed(self.manifest.doors, trust):
            self.space: SearchSpace[Any] = RecordedSpace(self.manifest.doors, self.journal.descriptions.values())
            self._read_recorded(last)
            return
        self._doors = open_recorded(self.manifest.settings, self.manifest.doors, workdir.path)
        self.space = self._doors.space
        states = recompute_states(self.manifest, self._doors, self.journal.records, self.lives, check)
        for state, asked in states:  # noqa: B007 - used below
            self.state = state
            if state.events == last:
                break
        if check is not None and max_events is None:
            check.end(asked)

    def _read_recorded(self, last: int | None) -> None:
        """Reads the run from what its journal says was decided: no code from outside runs."""
        kept_sources(self.manifest.doors, self._workdir.path)
        self.state = first_state()
        for event in recorded_events(self._workdir.journal, self.journal):
            if self.state.events == last:
                break
            for dead in event.dead:
                self.lives[dead] = dataclasses.replace(self.lives[dead], death=self.state.events)
            self.state = event.state
            self.lives[event.individual.id] = Life(
                event.individual, event.state.events, event.state.clock, event.record, None, event.birth
            )

    @property
    def recomputed(self) -> bool:
        """True if every decision was recomputed, False if the run was read without its code from outside."""
        return self._doors is not None

    @property
    def doors(self) -> Doors:
        """The doors of the run; raises `DoorError` if they are from outside and not trusted."""
        if self._doors is None:
            check_named(self.manifest.doors, ())
            raise DoorError("the doors of the run were not opened")
        return self._doors

    @property
    def skipped(self) -> list[int]:
        """Ids of individuals that the user skipped. If there are any, the seed alone does not reproduce the run."""
        return [individual_id for individual_id, life in self.lives.items() if life.record.skipped]

    @property
    def finish(self) -> Finish | None:
        """The finish of the best individual at this event, None if there is none."""
        best = self.state.best_trained
        return None if best is None else self.finishes.get(best.id)

    @property
    def finishes(self) -> dict[int, Finish]:
        """The finishes of the run at this event, by individual."""
        return read_finishes(self._workdir, self.state.fingerprint)

    @property
    def best(self) -> Individual:
        """The fittest individual ever, ties to the earliest; raises `ValueError` if none has finished yet."""
        if self.state.best is None:
            raise ValueError("the run has no finished individual yet: resume it first")
        return self.state.best

    @property
    def front(self) -> list[Individual]:
        """The individuals ever told that no other one dominates in fitness and `pareto_cost`, the cheapest first.

        Of individuals that are equal in both, the one born first. Failed ones are left out.
        """
        cost = self.manifest.settings.pareto_cost
        told = sorted((life.individual for life in self.lives.values()), key=lambda one: one.id)
        first_born: dict[Point, Individual] = {}
        for individual in told:
            if individual.failure is None:
                first_born.setdefault(point_of(individual, cost), individual)
        points = list(first_born)
        return [first_born[points[index]] for front in fronts(points)[:1] for index in front]

    def _summary_names(self) -> list[str]:
        """Returns the columns of the space's summary, which may differ between individuals; all have a place."""
        space, task = self.space, self.manifest.task
        genotypes = [life.individual.genotype for life in self.lives.values()]
        if not genotypes and self.recomputed:
            genotypes = [space.initial(np.random.default_rng(0), task)]
        return list(dict.fromkeys(name for genotype in genotypes for name in space.summary(genotype, task)))

    def lineage(self, individual_id: int) -> list[Individual]:
        """Returns an individual's ancestors, oldest first, and itself."""
        line: list[Individual] = []
        current: int | None = individual_id
        while current is not None:
            line.append(self.lives[current].individual)
            current = line[-1].parent_id
        return line[::-1]

    def flops(self, life: Life) -> int:
        """Returns the FLOPs that an individual took: of the steps done, of the checks and of the validation."""
        return spent_flops(life.birth.cost, life.record.outcome, self.manifest.settings, self.manifest.task)

    def row(self, individual_id: int) -> dict[str, Any]:
        """Returns the columns of `frame` of an individual, by name, as JSON values."""
        life, space = self.lives[individual_id], self.space
        row = _row(life, space, self.manifest.settings, self.flops(life))
        return {**space.summary(life.individual.genotype, self.manifest.task), **row._asdict()}

    def frame(self) -> "pandas.DataFrame":
        """Returns a pandas DataFrame with one row per individual, by event: `Row` and the summary of the genotype."""
        import pandas

        rows = [self.row(individual_id) for individual_id in self.lives]
        columns = [*Row._fields, *(name for name in self._summary_names() if name not in Row._fields)]
        return pandas.DataFrame(rows, columns=columns).astype({"parent_id": "Int64", "death": "Int64"})


def _row(life: Life, space: SearchSpace[Any], settings: Settings, flops: int) -> Row:
    individual, record = life.individual, life.record
    stopped_at = record.outcome.stopped_at
    return Row(
        id=individual.id,
        event=life.event,
        parent_id=individual.parent_id,
        mutation=individual.mutation,
        fitness=individual.fitness,
        validation_accuracy=individual.accuracy,
        test_accuracy=record.test_accuracy,
        failure=record.outcome.failure,
        death=life.death,
        virtual_seconds=life.virtual_seconds,
        flops=flops,
        steps=settings.train_steps if stopped_at is None else stopped_at,
        checks=record.outcome.checks,
        compile_seconds=record.compile_seconds,
        train_seconds=record.train_seconds,
        finished=record.finished,
        session=record.session,
        genotype=space.to_json(individual.genotype),
    )


def evolution_of_manifest(manifest: Manifest, doors: Doors) -> Evolution:
    """Returns the evolution of a run with these doors."""
    initial = initial_individuals(manifest.warm_start, doors.space)
    return evolution(manifest.settings, doors, manifest.task, initial)


def recompute_states(
    manifest: Manifest,
    doors: Doors,
    records: dict[int, Record],
    lives: dict[int, Life],
    check: DecisionCheck | None = None,
) -> Iterator[tuple[EvolutionState, EvolutionState]]:
    """Recomputes the states of a run by telling its recorded outcomes to the evolution.

    Args:
        manifest: manifest of the run.
        doors: its doors.
        records: records by individual, in the order in which they finished.
        lives: filled with the lives, in the order of events.
        check: compares every birth and state with the journal.

    Yields:
        The state before the first event and after each event, and the same state after `ask`.

    Raises:
        JournalError: if `check` finds a difference.
    """
    algorithm = evolution_of_manifest(manifest, doors)
    state = algorithm.init()
    pending = OrderedDict(records)  # A dict would search past all removed entries for its first one.
    while True:
        asked, births = algorithm.ask(state)
        if check is not None:
            check.births(births)
            check.state(state, asked)
        yield state, asked
        for dead in state.population.without(asked.population):
            lives[dead.id] = dataclasses.replace(lives[dead.id], death=state.events)
        state = asked
        told = next_told(state, pending, manifest.settings.wall_clock, manifest.order)
        if told is None:
            return
        record = pending.pop(told)
        birth = state.in_flight.find(told)
        state = algorithm.tell(state, record.outcome)
        individual = state.population.find(told)
        if birth is None or individual is None:
            raise RuntimeError(f"individual {told} was told, but is not in the population")
        lives[told] = Life(individual, state.events, state.clock, record, None, birth)
