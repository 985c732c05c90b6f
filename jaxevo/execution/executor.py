"""What the host loop needs of whoever trains."""

from collections.abc import Iterable
from typing import Protocol

from jaxevo.search.births import Birth
from jaxevo.storage.journal import Record


class Executor(Protocol):
    """Trains births on its lanes."""

    @property
    def lanes(self) -> int:
        """Individuals trained at once."""

    @property
    def busy(self) -> bool:
        """Whether a thread still compiles after `close`, which nothing can interrupt."""

    def submit(self, births: Iterable[Birth]) -> None:
        """Makes births available to the lanes, which take them in due order."""

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records of trainings that finished, waiting at most `timeout` seconds for the first.

        Raises:
            Exception: what ended a lane.
        """

    def close(self) -> list[Record]:
        """Drops the running trainings, ends the lanes, and returns the records of those that finished meanwhile."""
