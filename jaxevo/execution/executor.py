"""The interface between the host loop and the lanes."""

from collections.abc import Iterable
from typing import Protocol

from jaxevo.search.births import Birth
from jaxevo.storage.journal import Record


class Executor(Protocol):
    """An executor: trains births on its lanes."""

    @property
    def lanes(self) -> int:
        """Number of lanes."""

    @property
    def lanes_per_accelerator(self) -> int:
        """Lanes that share an accelerator; 1 on CPU, where each has a core."""

    def submit(self, births: Iterable[Birth]) -> None:
        """Queues births for the lanes, which take them in due order."""

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records of finished trainings, waiting at most `timeout` seconds for the first.

        Raises:
            Exception: the error that ended a lane.
        """

    def close(self) -> list[Record]:
        """Drops the running trainings, stops the lanes, and returns the records of trainings that still finished."""
