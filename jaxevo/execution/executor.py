"""What the host loop asks of whatever trains its births."""

from collections.abc import Iterable
from typing import Protocol

from jaxevo.evolution import Birth
from jaxevo.journal import Record


class Executor(Protocol):
    """Trains births in due order, several at a time; which of its lanes trains a birth changes nothing."""

    @property
    def lanes(self) -> int:
        """Individuals that are trained at once."""

    def submit(self, births: Iterable[Birth]) -> None:
        """Makes births available to the lanes."""

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records of trainings that finished, waiting at most about `timeout` seconds for the first.

        Raises:
            Exception: what keeps trainings from being carried out.
        """

    def close(self) -> list[Record]:
        """Drops the running trainings, within seconds, and returns the records of those that finished meanwhile."""

    @property
    def busy(self) -> bool:
        """Whether a thread still compiles after `close`: the process must not wait for it to end."""
