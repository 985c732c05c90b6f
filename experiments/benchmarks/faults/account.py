"""What faults cost a run: who was lost, who was trained twice, and whether the run came out the same."""

from dataclasses import dataclass
from pathlib import Path

from jaxevo.storage.journal import JournalContent, Record, read_journal


class UnexpectedError(Exception):
    """The engine answered a fault otherwise than it must; the message says how."""


def expect(fits: bool, sentence: str) -> None:
    """Raises `UnexpectedError` with a sentence unless it fits."""
    if not fits:
        raise UnexpectedError(sentence)


@dataclass(frozen=True)
class Cost:
    """What faults of one kind cost.

    Attributes:
        injected: faults.
        hits: those that met a run at work, or damage that was found.
        lost: individuals that were durable before a fault and are missing or altered at the end.
        trained_again: trainings that were in flight at a fault, and were begun anew.
        trained_twice: trainings begun anew though they were not in flight at any fault.
        equal: whether every fingerprint is that of a run which nothing disturbed.
        note: what else is worth telling.
    """

    injected: int = 0
    hits: int = 0
    lost: int = 0
    trained_again: int = 0
    trained_twice: int = 0
    equal: bool = True
    note: str = ""

    def __add__(self, other: "Cost") -> "Cost":
        """Returns what both cost; the later note stands."""
        return Cost(
            self.injected + other.injected,
            self.hits + other.hits,
            self.lost + other.lost,
            self.trained_again + other.trained_again,
            self.trained_twice + other.trained_twice,
            self.equal and other.equal,
            other.note or self.note,
        )


class Account:
    """The account of one run under faults: what each of them found durable, and what in training."""

    def __init__(self, path: Path) -> None:
        """Opens the account of a run's folder."""
        self._journal = path / "journal.jsonl"
        self._durable: dict[int, Record] = {}
        self._in_flight: set[tuple[int, int]] = set()
        self._injected = self._hits = 0

    def fault(self, hit: bool = True) -> None:
        """Takes down what a fault has left, once the process is dead and before another begins."""
        self._injected += 1
        self._hits += hit
        self.pause()

    def pause(self) -> None:
        """Takes down what an end without a fault has left."""
        content = read_journal(self._journal)
        self._durable |= content.records
        self._in_flight |= {attempt for attempt in _attempts(content) if attempt[0] not in content.records}

    def close(self, equal: bool, note: str = "") -> Cost:
        """Returns what the faults have cost, at the end of the run."""
        content = read_journal(self._journal)
        # The host of a worker that was killed goes on: what it gave the worker until it noticed, it notes as lost.
        in_flight = self._in_flight | {(attempt.id, attempt.number) for attempt in content.lost}
        replaced = {(birth_id, number - 1) for birth_id, number in _attempts(content) if number > 1}
        return Cost(
            injected=self._injected,
            hits=self._hits,
            lost=sum(content.records.get(birth_id) != record for birth_id, record in self._durable.items()),
            trained_again=len(replaced & in_flight),
            trained_twice=len(replaced - in_flight),
            equal=equal,
            note=note,
        )


def _attempts(content: JournalContent) -> set[tuple[int, int]]:
    """Returns every attempt that a journal holds, as its birth and number."""
    return {(attempt.id, attempt.number) for attempt in content.attempts}
