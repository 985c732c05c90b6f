"""The cost of faults: individuals lost or trained twice, and whether the fingerprint is the same."""

from dataclasses import dataclass
from pathlib import Path

from jaxevo.storage.journal import JournalContent, Record, read_journal


class UnexpectedError(Exception):
    """An answer of the engine to a fault that is not the right one; the message describes it."""


def expect(fits: bool, sentence: str) -> None:
    """Raises `UnexpectedError` with a sentence unless `fits`."""
    if not fits:
        raise UnexpectedError(sentence)


@dataclass(frozen=True)
class Cost:
    """The cost of one kind of fault.

    Attributes:
        injected: number of faults.
        hits: faults that met a running process, or damage that was found.
        lost: individuals that were durable before a fault and are missing or altered at the end.
        trained_again: trainings in flight at a fault that began again.
        trained_twice: trainings that began again though they were not in flight at any fault.
        equal: True if every fingerprint is that of an undisturbed run.
        note: a remark for the table.
    """

    injected: int = 0
    hits: int = 0
    lost: int = 0
    trained_again: int = 0
    trained_twice: int = 0
    equal: bool = True
    note: str = ""

    def __add__(self, other: "Cost") -> "Cost":
        """Returns the sum of both, with the later note."""
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
    """The account of one run under faults: what was durable, and what was in training, at each fault."""

    def __init__(self, path: Path) -> None:
        """Opens the account of a run's folder."""
        self._journal = path / "journal.jsonl"
        self._durable: dict[int, Record] = {}
        self._in_flight: set[tuple[int, int]] = set()
        self._injected = self._hits = 0

    def fault(self, hit: bool = True) -> None:
        """Notes a fault and the state it left; call it when the process is dead and before the next one begins."""
        self._injected += 1
        self._hits += hit
        self.pause()

    def pause(self) -> None:
        """Notes the state that a session left which ended without a fault."""
        content = read_journal(self._journal)
        self._durable |= content.records
        self._in_flight |= {attempt for attempt in _attempts(content) if attempt[0] not in content.records}

    def close(self, equal: bool, note: str = "") -> Cost:
        """Returns the cost of all faults, at the end of the run."""
        content = read_journal(self._journal)
        # The host process survives a killed worker, and journals as lost what it gave it until it noticed.
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
    """Returns every attempt in a journal as (birth id, number)."""
    return {(attempt.id, attempt.number) for attempt in content.attempts}
