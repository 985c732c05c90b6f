"""Tiny runs in one folder, to be disturbed and compared with undisturbed ones."""

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxevo
from experiments.benchmarks.faults.account import expect
from experiments.benchmarks.faults.host import Host, flag_texts, run_arguments
from jaxevo.storage.journal import JournalContent, read_journal

EVENTS = 40
"""Events of a run. All runs have the same few networks, so that only the first compiles them."""
# More than one call of the compiled step, since a training can only be checkpointed between two calls.
_SETTINGS: dict[str, Any] = {"train_steps": 16}
CHECKPOINT_ALWAYS: dict[str, Any] = {"checkpoint_seconds": 1e-9}


LOCAL: dict[str, Any] = {"lanes": 2, "snapshot_interval": 2}
RAY_FLAGS: dict[str, Any] = {"executor": "ray"}


def ray_workers(host: int) -> list[int]:
    """Returns the process ids of Ray's actors below a host process, sorted."""
    parents, actors = {}, []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # The process may end meanwhile.
            # The name is in parentheses and may contain spaces.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            if (stat.parent / "cmdline").read_bytes().startswith(b"ray::Worker"):
                actors.append(int(stat.parent.name))
    return sorted(pid for pid in actors if host in _ancestors(pid, parents))


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid in parents:
        pid = parents[pid]
        yield pid


class Scene:
    """A folder in which runs begin, are disturbed, and are compared."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        """Uses a folder; moments and places of faults are drawn from the seed."""
        self.folder = folder
        self._seed = seed
        self._numbers = itertools.count()
        self._undisturbed: dict[str, Path] = {}

    def random(self, name: str) -> random.Random:
        """Returns a random generator for one kind of fault."""
        return random.Random(f"{self._seed} {name}")

    def new_path(self) -> Path:
        """Returns the path of a new run."""
        return self.folder / f"run-{next(self._numbers)}"

    def start(
        self,
        path: Path,
        events: int = EVENTS,
        kill_point: str | None = None,
        disturb: Callable[[], None] | None = None,
        **changes: Any,
    ) -> Host:
        """Begins a run; `changes` are settings and flags."""
        arguments = run_arguments(path, events, **{**_SETTINGS, **LOCAL, **changes})
        return Host(self.folder, arguments, kill_point, disturb)

    def resume(
        self,
        path: Path,
        events: int | None = None,
        kill_point: str | None = None,
        disturb: Callable[[], None] | None = None,
        **changes: Any,
    ) -> Host:
        """Resumes a run to its old limit, or to `events`; `changes` are flags."""
        flags = {**LOCAL, **({} if events is None else {"max_individuals": events}), **changes}
        return Host(self.folder, ["resume", path, *flag_texts(flags)], kill_point, disturb)

    def undisturbed(self, events: int = EVENTS, **changes: Any) -> Path:
        """Returns the path of an undisturbed run, made once."""
        name = str((events, sorted(changes.items())))
        if name not in self._undisturbed:
            self._undisturbed[name] = self.ran(self.new_path(), events, **changes)
        return self._undisturbed[name]

    def ran(self, path: Path, events: int, **changes: Any) -> Path:
        """Lets a run come to its end, and returns its path."""
        with self.start(path, events, **changes) as host:
            expect(host.wait() == 0, f"an undisturbed run ends with: {host.output}")
        return path

    def ends_equal(self, path: Path, events: int = EVENTS, **changes: Any) -> bool:
        """Resumes a run to its end; returns True if its fingerprint is that of an undisturbed one."""
        with self.resume(path, events) as host:
            expect(host.wait() == 0, f"the last session ends with: {host.output}")
        return self.is_equal(path, events, **changes)

    def is_equal(self, path: Path, events: int = EVENTS, **changes: Any) -> bool:
        """Returns True if a finished run of `events` events has the fingerprint of an undisturbed one."""
        run = jaxevo.open(path)
        expect(run.events == events, f"the run has {run.events} events instead of {events}")
        return run.fingerprint == jaxevo.open(self.undisturbed(events, **changes)).fingerprint

    def is_prefix(self, path: Path) -> bool:
        """Returns True if a run, as far as it has come, is a prefix of the undisturbed one."""
        run = jaxevo.open(path)
        return run.fingerprint == jaxevo.open(self.undisturbed(), run.events).fingerprint


def journal(path: Path) -> JournalContent:
    """Reads a run's journal."""
    return read_journal(path / "journal.jsonl")
