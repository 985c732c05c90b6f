"""The append-only record of a run: a line of JSON for every session, its end, and every finished individual.

Records stand in the order in which trainings finished, which is not the order of telling. A record is durable, its
bytes forced to disk, before anything that follows from it happens. Every line carries a checksum.
"""

import dataclasses
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from jaxevo.evolution import EvolutionState, Outcome
from jaxevo.faults import kill_point
from jaxevo.settings import Limits


@dataclass(frozen=True)
class Session:
    """One start of the host process on this run.

    Attributes:
        number: from 1.
        started: Unix time in seconds.
        limits: where the session is to end.
    """

    number: int
    started: float
    limits: Limits


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
    """

    outcome: Outcome
    test_accuracy: float | None
    compile_seconds: float
    train_seconds: float
    finished: float
    session: int


@dataclass(frozen=True)
class Stop:
    """A clean end of a session.

    Attributes:
        session: its number.
        events: outcomes told until then; later records are of individuals that were not due yet.
        reason: the limit that was met, or "interrupted".
        seconds: what the session took.
    """

    session: int
    events: int
    reason: str
    seconds: float


Entry = Session | Record | Stop


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds.

    Attributes:
        sessions: in order.
        stops: of the sessions that ended cleanly, in order.
        records: by individual, in the order in which they finished.
        stopped: how the run stands stopped; None while a session runs, or after one that was killed.
    """

    sessions: tuple[Session, ...] = ()
    stops: tuple[Stop, ...] = ()
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
        if self._file.tell() > intact:
            self._file.truncate(intact)
            os.fsync(self._file.fileno())

    def append(self, entries: Iterable[Entry]) -> None:
        """Writes entries and returns when they are durable; several share one write to disk.

        Raises:
            OSError: if they cannot be written (a full disk, say); the journal is then as it was before.
        """
        lines = b"".join(_line(_to_json(entry)) for entry in entries)
        kill_point("before journal record")
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._length)  # Nothing may ever follow a torn line.
            raise
        self._length += len(lines)
        kill_point("after journal record")

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
        sessions=tuple(entry for entry in entries if isinstance(entry, Session)),
        stops=tuple(entry for entry in entries if isinstance(entry, Stop)),
        records=records,
        stopped=entries[-1] if entries and isinstance(entries[-1], Stop) else None,
    )


def next_told(state: EvolutionState, records: Mapping[int, Record], wall_clock: bool) -> int | None:
    """Returns the individual whose outcome is told next, None while it has not finished.

    On the virtual clock that is the birth due first; in wall-clock mode the first of the journal that was not told, so
    that the journal replays the run.

    Args:
        state: of the evolution, asked for births.
        records: of individuals that were not told, in the order in which they finished.
        wall_clock: the run's setting.
    """
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
            entries.append(_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(
                f"{path}, line {number}, is damaged ({error}); restore the file from a copy. Nothing was changed"
            ) from error
    return entries, intact


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields | {"checksum": _checksum(fields)}).encode() + b"\n"


def _checksum(fields: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(fields, sort_keys=True).encode())


def _to_json(entry: Entry) -> dict[str, Any]:
    # What `dataclasses.asdict` gives, which takes a tenth of the host's time.
    fields = {name: vars(value) if dataclasses.is_dataclass(value) else value for name, value in vars(entry).items()}
    return {"kind": type(entry).__name__.lower(), **fields}


def _from_json(fields: dict[str, Any]) -> Entry:
    checksum = fields.pop("checksum")
    if checksum != _checksum(fields):
        raise ValueError("its checksum does not agree")
    kind = fields.pop("kind")
    if kind == "record":
        return Record(**(fields | {"outcome": Outcome(**fields["outcome"])}))
    if kind == "session":
        return Session(**(fields | {"limits": Limits(**fields["limits"])}))
    return {"stop": Stop}[kind](**fields)
