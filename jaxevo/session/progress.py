"""Progress of a session, and the interface that receives it."""

from dataclasses import dataclass
from typing import Any

from jaxevo.search.evolution import EvolutionState
from jaxevo.search.population import Individual
from jaxevo.search.space import SearchSpace, Task
from jaxevo.settings import Limits

INTERRUPTED = "interrupted"
"""Stop reason of a session that a signal ended."""
FAILED = "failed"
"""Stop reason of a session that an error ended."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        state: state of the evolution.
        limits: limits of the session.
        session_events: events of the session so far.
        session_seconds: seconds since the session began to evolve.
        compile_seconds: seconds of all lanes spent compiling in the session.
        train_seconds: seconds of all lanes spent training in the session.
        space: search space of the run.
        task: task of the run.
        lanes: number of lanes.
        busy_lanes: number of lanes that have an individual to train.
    """

    state: EvolutionState
    limits: Limits
    session_events: int
    session_seconds: float
    compile_seconds: float
    train_seconds: float
    space: SearchSpace[Any]
    task: Task
    lanes: int
    busy_lanes: int

    @property
    def individuals_per_hour(self) -> float:
        """Events per hour of the session."""
        return 3600 * self.session_events / max(self.session_seconds, 1e-9)

    @property
    def compile_share(self) -> float:
        """Share of compiling in the time of the lanes, in [0, 1]."""
        return self.compile_seconds / max(self.compile_seconds + self.train_seconds, 1e-9)


class Watcher:
    """A receiver of progress. The default does nothing."""

    def notice(self, text: str) -> None:
        """Receives a sentence for the user."""

    def announce(self, text: str) -> None:
        """Receives a sentence about what begins now, after everything was checked."""

    def progressed(self, progress: Progress) -> None:
        """Receives the progress, after every event and several times a second."""

    def told(self, state: EvolutionState, individual: Individual) -> bool:
        """Receives every event: the state after it, and who was told; returns True to end the session."""
        return False

    def finishing(self, step: int, steps: int) -> None:
        """Receives the progress of a finish, about once a second: steps done and in all."""


class Relay(Watcher):
    """A watcher that passes everything on to another. Derive one from it that does more."""

    def __init__(self, watcher: Watcher) -> None:
        """Takes the other watcher."""
        self._watcher = watcher

    def notice(self, text: str) -> None:
        """Passes a sentence on."""
        self._watcher.notice(text)

    def announce(self, text: str) -> None:
        """Passes a sentence on."""
        self._watcher.announce(text)

    def progressed(self, progress: Progress) -> None:
        """Passes the progress on."""
        self._watcher.progressed(progress)

    def told(self, state: EvolutionState, individual: Individual) -> bool:
        """Passes an event on; returns True if the other watcher ends the session."""
        return self._watcher.told(state, individual)

    def finishing(self, step: int, steps: int) -> None:
        """Passes the progress of a finish on."""
        self._watcher.finishing(step, steps)
