"""What faults cost a run: who was lost, who was trained twice, and whether the run came out the same."""

import collections
from dataclasses import dataclass
from pathlib import Path

from jaxevo.journal import Record, read_journal


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
        self._in_flight: collections.Counter[int] = collections.Counter()
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
        self._in_flight.update({attempt.id for attempt in content.attempts} - content.records.keys())

    def close(self, equal: bool, note: str = "") -> Cost:
        """Returns what the faults have cost, at the end of the run."""
        content = read_journal(self._journal)
        attempts = collections.Counter(attempt.id for attempt in content.attempts)
        again = {birth_id: count - 1 for birth_id, count in attempts.items()}
        return Cost(
            injected=self._injected,
            hits=self._hits,
            lost=sum(content.records.get(birth_id) != record for birth_id, record in self._durable.items()),
            trained_again=sum(min(count, self._in_flight[birth_id]) for birth_id, count in again.items()),
            trained_twice=sum(max(0, count - self._in_flight[birth_id]) for birth_id, count in again.items()),
            equal=equal,
            note=note,
        )
