"""Progress events: how far a session is, and who is told."""

from dataclasses import dataclass
from typing import Any

from jaxevo.search.evolution import EvolutionState
from jaxevo.search.space import SearchSpace, Task
from jaxevo.settings import Limits

INTERRUPTED = "interrupted"
"""The stop reason of a run that a signal ended."""
FAILED = "failed"
"""The stop reason of a run that an error ended."""


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
        space: whose genotypes evolve.
        task: what they are to do.
    """

    state: EvolutionState
    limits: Limits
    session_events: int
    session_seconds: float
    compile_seconds: float
    train_seconds: float
    space: SearchSpace[Any]
    task: Task

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
