"""The append-only record of a run: a line of JSON for every session, its end, every attempt and finished individual.

Records stand in the order in which trainings finished, which is not the order of telling. A record is durable, its
bytes forced to disk, before anything that follows from it happens. Every line carries a checksum.
"""

import dataclasses
import json
import os
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from jaxevo.search.births import Outcome
from jaxevo.search.evolution import EvolutionState
from jaxevo.settings import Limits
from jaxevo.storage.durable import force
from jaxevo.storage.faults import kill_point


@dataclass(frozen=True)
class Start:
    """One start of the host process on this run.

    Attributes:
        number: from 1.
        started: Unix time in seconds.
        limits: where the session is to end.
        manifest_sha256: of the manifest that it read, so that one that was altered since is noticed.
    """

    number: int
    started: float
    limits: Limits
    manifest_sha256: str


@dataclass(frozen=True)
class Attempt:
    """One start of a birth's training, durable before it begins.

    Attributes:
        id: of the birth.
        number: of the birth's attempts, from 1.
        session: the session that made it.
        first_step: the training step that it goes on from, 0 unless an earlier attempt left a training checkpoint.
        birth_sha256: what evolution decided with the birth, so that a decision that comes out otherwise is noticed.
    """

    id: int
    number: int
    session: int
    first_step: int
    birth_sha256: str


@dataclass(frozen=True)
class LostAttempt:
    """An attempt that its session saw end without a record: by an error, a dead worker, or one that hung.

    Attributes:
        id: of the birth.
        number: of the attempt.
        reason: in words.
    """

    id: int
    number: int
    reason: str


@dataclass(frozen=True)
class Record:
    """What is kept of a finished training. Evolution is told the outcome only.

    Attributes:
        outcome: fitness and weights.
        test_accuracy: in [0, 1]; None when the training failed, or logits of test images are not finite.
        compile_seconds: what compiling took for this individual, 0 where its programs were known.
        train_seconds: what loading, training, evaluating and saving took.
        finished: Unix time in seconds.
        session: the session that trained it.
        attempt: the attempt that counts, 0 where the user had the birth skipped.
    """

    outcome: Outcome
    test_accuracy: float | None
    compile_seconds: float
    train_seconds: float
    finished: float
    session: int
    attempt: int

    @property
    def skipped(self) -> bool:
        """Whether the user had the birth skipped instead of trained."""
        return self.attempt == 0


@dataclass(frozen=True)
class Stop:
    """A clean end of a session.

    Attributes:
        session: its number.
        events: outcomes told until then; later records are of individuals that were not due yet.
        reason: the limit that was met, "interrupted", or "failed" after an error.
        fingerprint: of the history up to then.
        seconds: what the session took.
    """

    session: int
    events: int
    reason: str
    fingerprint: str
    seconds: float


@dataclass(frozen=True)
class Snapshot:
    """Announces a snapshot, durable before it is taken, so that one of another run or time is noticed.

    Attributes:
        events: outcomes told until then.
        fingerprint: of the history up to then.
    """

    events: int
    fingerprint: str


Entry = Start | Attempt | LostAttempt | Record | Stop | Snapshot
_KINDS: dict[str, type[Attempt | LostAttempt | Stop | Snapshot]] = {
    kind.__name__.lower(): kind for kind in (Attempt, LostAttempt, Stop, Snapshot)
}


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds.

    Attributes:
        sessions: the start of each, in order.
        stops: of the sessions that ended cleanly, in order.
        attempts: in the order in which they began.
        lost: attempts that ended without a record, in the order in which they were noticed.
        snapshots: that were announced, in order.
        records: by individual, in the order in which they finished.
        stopped: how the run stands stopped; None while a session runs, or after one that was killed.
    """

    sessions: tuple[Start, ...] = ()
    stops: tuple[Stop, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    lost: tuple[LostAttempt, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    records: dict[int, Record] = dataclasses.field(default_factory=dict)
    stopped: Stop | None = None


class JournalError(ValueError):
    """The journal is not what a run wrote; the message says where and what to do."""


class Journal:
    """The journal open for writing; there is one writer, the holder of the work folder's lock."""

    def __init__(self, path: Path) -> None:
        """Opens a journal, creating it where there is none, and cuts a torn last line off."""
        _, intact = _read(path) if path.exists() else ([], 0)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as the run
        self._length = intact
        self._lock = threading.Lock()
        if self._file.tell() > intact:
            self._file.truncate(intact)
            os.fsync(self._file.fileno())
        force(path.parent)  # Of a new file, its name.

    def append(self, entries: Iterable[Entry]) -> None:
        """Writes entries and returns when they are durable; several share one write to disk. Threads may call it.

        Raises:
            OSError: if they cannot be written (a full disk, say); the journal is then as it was before, as it is where
                a signal interrupts the writing.
        """
        entries = list(entries)
        lines = b"".join(map(_line, entries))
        write = "attempt" if entries and isinstance(entries[0], Attempt) else "journal record"
        with self._lock:
            kill_point(f"before {write}")
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fsync(self._file.fileno())
                self._length += len(lines)
            except BaseException:
                self._file.truncate(self._length)  # Nothing may ever follow a torn line.
                raise
            kill_point(f"after {write}")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Returns the journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self.close()


def read_journal(path: Path) -> JournalContent:
    """Returns what a journal holds, nothing where there is none.

    A torn last line, such as a live run or a crash may leave, is skipped.

    Raises:
        JournalError: if any other line is not what was written, or an individual stands twice.
    """
    entries, _ = _read(path) if path.exists() else ([], 0)
    records: dict[int, Record] = {}
    for entry in entries:
        if isinstance(entry, Record):
            if entry.outcome.id in records:
                raise JournalError(f"{path} records individual {entry.outcome.id} twice; restore the file from a copy")
            records[entry.outcome.id] = entry
    return JournalContent(
        sessions=tuple(entry for entry in entries if isinstance(entry, Start)),
        stops=tuple(entry for entry in entries if isinstance(entry, Stop)),
        attempts=tuple(entry for entry in entries if isinstance(entry, Attempt)),
        lost=tuple(entry for entry in entries if isinstance(entry, LostAttempt)),
        snapshots=tuple(entry for entry in entries if isinstance(entry, Snapshot)),
        records=records,
        stopped=entries[-1] if entries and isinstance(entries[-1], Stop) else None,
    )


def next_told(
    state: EvolutionState, records: Mapping[int, Record], wall_clock: bool, order: Sequence[int] = ()
) -> int | None:
    """Returns the individual whose outcome is told next, None while it has not finished.

    On the virtual clock that is the birth due first; in wall-clock mode the first of the journal that was not told, so
    that the journal replays the run; while a replay's order lasts, what stands in it.

    Args:
        state: of the evolution, asked for births.
        records: of individuals that were not told, in the order in which they finished.
        wall_clock: the run's setting.
        order: individuals in the order in which the run that this one replays told them.
    """
    if state.events < len(order):
        told = order[state.events]
        return told if told in records else None
    if wall_clock:
        return next((number for number in records if state.in_flight.find(number) is not None), None)
    due = state.in_flight[0].id
    return due if due in records else None


def _read(path: Path) -> tuple[list[Entry], int]:
    """Returns the entries, and the number of bytes up to the end of the last whole line."""
    data = path.read_bytes()
    intact = data.rfind(b"\n") + 1
    entries = []
    for number, line in enumerate(data[:intact].splitlines(), start=1):
        try:
            entries.append(_from_json(_checked(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(
                f"{path}, line {number}, is damaged ({error}); restore the file from a copy. Nothing was changed"
            ) from error
    return entries, intact


_CHECKSUM = b', "checksum": '


# What is nested is a dataclass as well. `dataclasses.asdict` would take a tenth of the host's time.
_to_text = json.JSONEncoder(default=vars).encode


def _line(entry: Entry) -> bytes:
    """Returns an entry as a line, with the checksum of its text as the last field."""
    text = _to_text({"kind": type(entry).__name__.lower(), **vars(entry)}).encode()
    return b"%b%b%d}\n" % (text[:-1], _CHECKSUM, zlib.crc32(text))


def _checked(line: bytes) -> dict[str, Any]:
    """Returns the object of a line but for the checksum, with which its text must agree."""
    text, _, checksum = line.rpartition(_CHECKSUM)
    if checksum != b"%d}" % zlib.crc32(text + b"}"):
        raise ValueError("its checksum does not agree")
    fields: dict[str, Any] = json.loads(text + b"}")
    return fields


def _from_json(fields: dict[str, Any]) -> Entry:
    kind = fields.pop("kind")
    if kind == "record":
        return Record(**(fields | {"outcome": Outcome(**fields["outcome"])}))
    if kind == "start":
        return Start(**(fields | {"limits": Limits(**fields["limits"])}))
    return _KINDS[kind](**fields)
