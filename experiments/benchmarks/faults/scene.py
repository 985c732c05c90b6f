"""Where faults are injected: tiny runs in one folder, and what they come to when nothing disturbs them."""

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
"""Events of the runs. All have the same few networks, so that only the first compiles them."""
# Longer than one call of the compiled step, after each of which a training may be checkpointed.
_SETTINGS: dict[str, Any] = {"train_steps": 24}
CHECKPOINT_ALWAYS: dict[str, Any] = {"checkpoint_seconds": 1e-9}


LOCAL: dict[str, Any] = {"lanes": 2, "snapshot_interval": 2}
RAY_FLAGS: dict[str, Any] = {"executor": "ray"}


def ray_workers(host: int) -> list[int]:
    """Returns the processes of Ray's actors that descend from a host process, by number."""
    parents, actors = {}, []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It ended meanwhile.
            # The name stands in brackets, and may hold spaces.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            if (stat.parent / "cmdline").read_bytes().startswith(b"ray::Worker"):
                actors.append(int(stat.parent.name))
    return sorted(pid for pid in actors if host in _ancestors(pid, parents))


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid in parents:
        pid = parents[pid]
        yield pid


class Scene:
    """A folder in which runs are begun, disturbed and compared."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        """Uses a folder; the seed draws the moments and places of faults."""
        self.folder = folder
        self._seed = seed
        self._numbers = itertools.count()
        self._undisturbed: dict[str, Path] = {}

    def random(self, name: str) -> random.Random:
        """Returns a generator for the faults of one kind."""
        return random.Random(f"{self._seed} {name}")

    def new_path(self) -> Path:
        """Returns where a run can be begun."""
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
        """Goes on with a run, to its old limit or another; `changes` are flags."""
        flags = {**LOCAL, **({} if events is None else {"max_individuals": events}), **changes}
        return Host(self.folder, ["resume", path, *flag_texts(flags)], kill_point, disturb)

    def undisturbed(self, events: int = EVENTS, **changes: Any) -> Path:
        """Returns a run that nothing disturbed, made once."""
        name = str((events, sorted(changes.items())))
        if name not in self._undisturbed:
            path = self.new_path()
            with self.start(path, events, **changes) as host:
                expect(host.wait() == 0, f"an undisturbed run ends with: {host.output}")
            self._undisturbed[name] = path
        return self._undisturbed[name]

    def ends_equal(self, path: Path, events: int = EVENTS, **changes: Any) -> bool:
        """Lets a run go on to its end; returns whether its fingerprint is that of an undisturbed one."""
        with self.resume(path, events) as host:
            expect(host.wait() == 0, f"the last session ends with: {host.output}")
        return self.is_equal(path, events, **changes)

    def is_equal(self, path: Path, events: int = EVENTS, **changes: Any) -> bool:
        """Returns whether a run of so many events has the fingerprint of an undisturbed one."""
        run = jaxevo.open(path)
        expect(run.events == events, f"the run has {run.events} events instead of {events}")
        return run.fingerprint == jaxevo.open(self.undisturbed(events, **changes)).fingerprint

    def is_prefix(self, path: Path) -> bool:
        """Returns whether a run is the undisturbed one as far as it has come."""
        run = jaxevo.open(path)
        return run.fingerprint == jaxevo.open(self.undisturbed(), run.events).fingerprint


def journal(path: Path) -> JournalContent:
    """Returns what a run's journal holds so far."""
    return read_journal(path / "journal.jsonl")
