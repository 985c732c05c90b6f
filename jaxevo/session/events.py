"""Events of a run as plain records, for functions of users that watch a run and may stop it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxevo.search.evolution import EvolutionState
from jaxevo.search.population import Individual
from jaxevo.session.progress import Relay, Watcher

STOPPED = "stopped"
"""Stop reason of a session that a function of the user ended."""


@dataclass(frozen=True)
class Event:
    """A told event; all fields are JSON values.

    Attributes:
        event: number of the event, from 1.
        id: of the individual that was told.
        parent_id: of its parent, None for an initial individual.
        mutation: names of its mutations, None for an initial individual.
        fitness: of the individual, None if its training failed.
        accuracy: validation accuracy in [0, 1], 0 if its training failed.
        failure: reason of the failure, None if its training succeeded.
        best_id: of the fittest individual so far.
        best_fitness: its fitness, None if every training has failed.
        best_accuracy: its validation accuracy.
        population: number of living individuals.
        total_flops: FLOPs of all individuals together.
        clock: virtual time, in seconds.
        fingerprint: of the run after the event.
    """

    event: int
    id: int
    parent_id: int | None
    mutation: str | None
    fitness: float | None
    accuracy: float
    failure: str | None
    best_id: int
    best_fitness: float | None
    best_accuracy: float
    population: int
    total_flops: int
    clock: float
    fingerprint: str


OnEvent = Callable[[Event], Literal["stop"] | None]
"""A function that receives every told event and may return "stop" to end the session."""


def event_of(state: EvolutionState, told: Individual) -> Event:
    """Returns the record of the event that told an individual.

    Args:
        state: the state after the event.
        told: the individual.
    """
    best = state.best or told
    return Event(
        event=state.events,
        id=told.id,
        parent_id=told.parent_id,
        mutation=told.mutation,
        fitness=_known(told),
        accuracy=told.accuracy,
        failure=told.failure,
        best_id=best.id,
        best_fitness=_known(best),
        best_accuracy=best.accuracy,
        population=len(state.population),
        total_flops=state.total_flops,
        clock=state.clock,
        fingerprint=state.fingerprint,
    )


def _known(individual: Individual) -> float | None:
    return individual.fitness if individual.failure is None else None


class Telling(Relay):
    """A watcher that passes everything on to another, and every told event to a function."""

    def __init__(self, watcher: Watcher, on_event: OnEvent) -> None:
        """Takes the other watcher and the function."""
        super().__init__(watcher)
        self._on_event = on_event

    def told(self, state: EvolutionState, individual: Individual) -> bool:
        """Passes an event on, then calls the function; returns True if one of both asks to stop.

        Raises:
            ValueError: if the function returns anything but "stop" or None.
        """
        ends = super().told(state, individual)
        answer = self._on_event(event_of(state, individual))
        if answer not in (None, "stop"):
            raise ValueError(f'on_event returned {answer!r}, but must return "stop" or None')
        return ends or answer == "stop"
