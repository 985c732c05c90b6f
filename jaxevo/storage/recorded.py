"""Read a run from what its journal says was decided, without deciding it again: no code from outside runs.

Checked are the hashes of births and the chain of the fingerprint from the first event on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxevo.search.births import Birth, birth_sha256
from jaxevo.search.evolution import EvolutionState, death_fingerprint, event_fingerprint, first_state, fitter
from jaxevo.search.in_flight import InFlight
from jaxevo.search.population import Individual, Population
from jaxevo.storage.descriptions import Told, described_birth
from jaxevo.storage.journal import JournalContent, JournalError, Record

_REMEDY = "the journal was altered: restore it from a copy"


class Event(NamedTuple):
    """An event of a recorded run.

    Attributes:
        state: the state after it, without the births in flight.
        individual: that was told.
        birth: its birth.
        record: record of its training.
        dead: individuals that died before it, after the event before it.
    """

    state: EvolutionState
    individual: Individual
    birth: Birth
    record: Record
    dead: tuple[int, ...]


def recorded_events(journal: Path, content: JournalContent) -> Iterator[Event]:
    """Yields the events of a run, as its journal records them.

    Args:
        journal: path of the journal, for messages.
        content: its content.

    Raises:
        JournalError: if a birth or an event does not have the hash that the journal holds.
    """
    births = {attempt.id: attempt.birth_sha256 for attempt in content.attempts}
    noted = {one.events: one.fingerprint for one in content.snapshots}
    noted |= {one.events: one.fingerprint for one in content.stops}
    state = first_state()
    for told in content.told:
        description, record = content.descriptions.get(told.id), content.records.get(told.id)
        if description is None or record is None or told.event != state.events + 1:
            raise JournalError(f"{journal}: event {told.event} lacks its description or its record: {_REMEDY}")
        birth = described_birth(description)
        if births.get(told.id, birth_sha256(birth)) != birth_sha256(birth):
            raise JournalError(f"{journal}: individual {told.id} was trained as another birth: {_REMEDY}")
        individual = _individual(birth, record, told)
        state = _after(state, individual, birth, record, told)
        if state.fingerprint != told.fingerprint or noted.get(told.event, told.fingerprint) != told.fingerprint:
            raise JournalError(
                f"{journal}: the fingerprint after {told.event} events is {state.fingerprint}, but another is "
                f"recorded: {_REMEDY}"
            )
        yield Event(state, individual, birth, record, told.dead)


def _individual(birth: Birth, record: Record, told: Told) -> Individual:
    outcome = record.outcome
    return Individual(
        birth.id,
        birth.parent_id,
        birth.mutation,
        birth.genotype,
        told.fitness,
        outcome.accuracy,
        outcome.weights,
        outcome.weights_sha256,
        event=told.event,
        cost=birth.cost,
        failure=outcome.failure,
    )


def _after(state: EvolutionState, individual: Individual, birth: Birth, record: Record, told: Told) -> EvolutionState:
    fingerprint, living = state.fingerprint, state.population
    for dead in told.dead:
        fingerprint = death_fingerprint(fingerprint, state.events, dead)
        living = Population(one for one in living if one.id != dead)
    return EvolutionState(
        events=told.event,
        births=max(state.births, birth.id + 1),
        clock=told.clock,
        population=living.add(individual),
        in_flight=InFlight(),
        best=fitter(state.best, individual),
        total_flops=told.total_flops,
        fingerprint=event_fingerprint(fingerprint, individual, birth.genotype_sha256, record.outcome),
        best_accuracy=max(state.best_accuracy, individual.accuracy),
    )
