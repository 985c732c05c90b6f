"""The journal: the append-only log of a run, in lines of JSON.

Records are in the order in which trainings finished, which is not the order of events. A record is forced to disk
before anything that depends on it happens. Every line has a checksum.
"""

import dataclasses
import json
import os
import threading
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from jaxevo.search.births import Outcome
from jaxevo.search.evolution import EvolutionState
from jaxevo.settings import Limits
from jaxevo.storage.descriptions import Description, Told
from jaxevo.storage.durable import force
from jaxevo.storage.faults import kill_point
from jaxevo.storage.machine import Machine, machine_from_json


@dataclass(frozen=True)
class Start:
    """The start of a session.

    Attributes:
        number: number of the session, from 1.
        started: Unix time in seconds.
        limits: limits of the session.
        manifest_sha256: hash of the manifest that it read, to detect a change.
        machine: machine that trained in it.
    """

    number: int
    started: float
    limits: Limits
    manifest_sha256: str
    machine: Machine


@dataclass(frozen=True)
class Attempt:
    """One start of a birth's training, durable before it begins.

    Attributes:
        id: id of the birth.
        number: number among the attempts at this birth, from 1.
        session: number of the session.
        first_step: training step that it continues from, 0 unless an earlier attempt left a training checkpoint.
        birth_sha256: hash of the birth, to detect a different decision.
    """

    id: int
    number: int
    session: int
    first_step: int
    birth_sha256: str


@dataclass(frozen=True)
class LostAttempt:
    """An attempt that ended without a record: by an error, or with a dead or hanging worker.

    Attributes:
        id: id of the birth.
        number: number of the attempt.
        reason: the reason, for the user.
    """

    id: int
    number: int
    reason: str


@dataclass(frozen=True)
class Record:
    """The record of a finished training. The evolution is told only the outcome.

    Attributes:
        outcome: accuracy and weights.
        test_accuracy: test accuracy in [0, 1]; None if the training failed or a logit of a test image is not finite.
        compile_seconds: seconds spent compiling for this individual, 0 if its programs were known.
        train_seconds: seconds spent loading, training, evaluating and saving.
        finished: Unix time in seconds.
        session: number of the session.
        attempt: number of the attempt that finished, 0 if the user skipped the birth.
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
        """True if the user skipped the birth."""
        return self.attempt == 0


@dataclass(frozen=True)
class Stop:
    """A clean end of a session.

    Attributes:
        session: number of the session.
        events: number of events so far; further records are of individuals that were not due yet.
        reason: the limit that was reached, "interrupted", or "failed" after an error.
        fingerprint: fingerprint of the history so far.
        seconds: duration of the session.
    """

    session: int
    events: int
    reason: str
    fingerprint: str
    seconds: float


@dataclass(frozen=True)
class Snapshot:
    """The announcement of a snapshot, durable before the snapshot is saved, to detect one of another run or time.

    Attributes:
        events: number of events so far.
        fingerprint: fingerprint of the history so far.
    """

    events: int
    fingerprint: str


Entry = Start | Attempt | LostAttempt | Record | Stop | Snapshot | Description | Told
_KINDS: dict[str, type[Attempt | LostAttempt | Stop | Snapshot | Description]] = {
    kind.__name__.lower(): kind for kind in (Attempt, LostAttempt, Stop, Snapshot, Description)
}


@dataclass(frozen=True)
class JournalContent:
    """The content of a journal.

    Attributes:
        sessions: starts of sessions, in order.
        stops: ends of the sessions that ended cleanly, in order.
        attempts: attempts, in the order in which they began.
        lost: attempts that ended without a record, in the order in which this was noticed.
        snapshots: announced snapshots, in order.
        records: records by individual, in the order in which they finished.
        stopped: end of the last session; None while it runs, or if it was killed.
        descriptions: births by individual, of a run with doors from outside.
        told: told events, in order, of a run with doors from outside.
    """

    sessions: tuple[Start, ...] = ()
    stops: tuple[Stop, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    lost: tuple[LostAttempt, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    records: dict[int, Record] = dataclasses.field(default_factory=dict)
    stopped: Stop | None = None
    descriptions: dict[int, Description] = dataclasses.field(default_factory=dict)
    told: tuple[Told, ...] = ()


class JournalError(ValueError):
    """The journal differs from what the run wrote; the message says where and what to do."""


class Journal:
    """A journal open for writing. Its only writer holds the lock of the work folder."""

    def __init__(self, path: Path) -> None:
        """Opens or creates a journal, and cuts off an incomplete last line."""
        _, intact = _read(path) if path.exists() else ([], 0)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as the run
        self._length = intact
        self._lock = threading.Lock()
        self._later: list[Entry] = []
        if self._file.tell() > intact:
            self._file.truncate(intact)
            os.fsync(self._file.fileno())
        force(path.parent)  # The entry of a new file must be durable too.

    def append_later(self, entry: Entry) -> None:
        """Appends an entry before those of the next `append`, with which it becomes durable."""
        with self._lock:
            self._later.append(entry)

    def append(self, entries: Iterable[Entry]) -> None:
        """Appends entries in one write and returns when they are durable. Threads may share it.

        If an error or a signal interrupts the write, the journal is as before.

        Raises:
            OSError: if the entries cannot be written, for example on a full disk.
        """
        with self._lock:
            entries = [*self._later, *entries]
            lines = b"".join(map(_line, entries))
            write = "attempt" if any(isinstance(entry, Attempt) for entry in entries) else "journal record"
            kill_point(f"before {write}")
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fsync(self._file.fileno())
                self._length += len(lines)
            except BaseException:
                self._file.truncate(self._length)  # No line may follow an incomplete one.
                raise
            self._later = []
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


def read_journal(path: Path, kinds: Container[str] | None = None) -> JournalContent:
    """Returns the content of a journal, empty if there is no file.

    An incomplete last line, as a running session or a crash may leave it, is ignored.

    Args:
        path: the journal.
        kinds: kinds of entries to return, such as "start" and "stop"; None for all. The lines of others are only
            checked, which takes a tenth of the time.

    Raises:
        JournalError: if another line differs from what was written, or an individual has two records.
    """
    entries, _ = _read(path, kinds) if path.exists() else ([], 0)
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
        descriptions={entry.id: entry for entry in entries if isinstance(entry, Description)},
        told=tuple(entry for entry in entries if isinstance(entry, Told)),
    )


def next_told(
    state: EvolutionState, records: Mapping[int, Record], wall_clock: bool, order: Sequence[int] = ()
) -> int | None:
    """Returns the id of the individual whose outcome is told next, None if it has not finished yet.

    On the virtual clock it is the birth due first. In wall-clock mode it is the first record that was not told, so that
    the journal reproduces the run. In the replay of such a run, `order` decides.

    Args:
        state: state of the evolution after `ask`.
        records: records of individuals that were not told, in the order in which they finished.
        wall_clock: the run's setting.
        order: ids in the order of events of the run that is replayed; empty on the virtual clock, and if this is no
            replay.
    """
    if state.events < len(order):
        told = order[state.events]
        return told if told in records else None
    if wall_clock:
        return next((number for number in records if state.in_flight.find(number) is not None), None)
    due = state.in_flight[0].id
    return due if due in records else None


def _read(path: Path, kinds: Container[str] | None = None) -> tuple[list[Entry], int]:
    """Returns the entries of some kinds, and the number of bytes up to the end of the last complete line."""
    data = path.read_bytes()
    intact = data.rfind(b"\n") + 1
    entries = []
    for number, line in enumerate(data[:intact].splitlines(), start=1):
        try:
            text = _checked(line)
            if kinds is None or _kind(text) in kinds:
                entries.append(_from_json(json.loads(text)))
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(
                f"{path}, line {number}, is damaged ({error}); restore the file from a copy. Nothing was changed"
            ) from error
    return entries, intact


def _kind(text: bytes) -> str:
    """Returns the kind of an entry, which comes first in its line."""
    return text[len(b'{"kind": "') : text.index(b'"', len(b'{"kind": "'))].decode()


_CHECKSUM = b', "checksum": '


# Encode nested dataclasses with `vars`: `dataclasses.asdict` would take a tenth of the host's time.
_to_text = json.JSONEncoder(default=lambda value: value.item() if isinstance(value, np.number) else vars(value)).encode


def _line(entry: Entry) -> bytes:
    """Returns an entry as a line of JSON whose last field is the checksum of the rest."""
    text = _to_text({"kind": type(entry).__name__.lower(), **vars(entry)}).encode()
    return b"%b%b%d}\n" % (text[:-1], _CHECKSUM, zlib.crc32(text))


def _checked(line: bytes) -> bytes:
    """Returns the JSON of a line without the checksum; raises `ValueError` if it does not match."""
    text, _, checksum = line.rpartition(_CHECKSUM)
    if checksum != b"%d}" % zlib.crc32(text + b"}"):
        raise ValueError("its checksum does not match")
    return text + b"}"


def _from_json(fields: dict[str, Any]) -> Entry:
    kind = fields.pop("kind")
    if kind == "record":
        outcome = fields["outcome"] | {"checks": tuple(fields["outcome"]["checks"])}
        if outcome["confusion"] is not None:
            outcome["confusion"] = tuple(map(tuple, outcome["confusion"]))
        return Record(**(fields | {"outcome": Outcome(**outcome)}))
    if kind == "told":
        return Told(**(fields | {"dead": tuple(fields["dead"])}))
    if kind == "start":
        read = {"limits": Limits(**fields["limits"]), "machine": machine_from_json(fields.get("machine"))}
        return Start(**(fields | read))
    return _KINDS[kind](**fields)


def wall_clock_seconds(journal: JournalContent) -> float:
    """Returns the total seconds of all sessions; a killed session counts up to its last record."""
    seconds = sum(stop.seconds for stop in journal.stops)
    for session in journal.sessions:
        finished = [record.finished for record in journal.records.values() if record.session == session.number]
        if session.number not in {stop.session for stop in journal.stops} and finished:
            seconds += max(0.0, max(finished) - session.started)
    return seconds
