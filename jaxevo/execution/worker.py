"""The process that holds the lanes of one host of a cluster.

Births come in with the number of their attempt, records go out; weights travel through the work folder. Nothing is
imported here that loads JAX before this process has made JAX's settings.
"""

import os
import platform
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxevo.environment import prepare_process
from jaxevo.environment.topology import single_host_topology
from jaxevo.search.births import Birth
from jaxevo.settings import Execution, Settings
from jaxevo.storage.journal import Record
from jaxevo.storage.machine import Machine, differences
from jaxevo.storage.workdir import Workdir

if TYPE_CHECKING:
    from jaxevo.execution.local import LocalExecutor

# How soon a report notices that the worker closes.
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Assignment:
    """What a worker must know of a session.

    Attributes:
        settings: of the run.
        workdir: the run's folder, under the path that every node sees it by.
        session: the session's number.
        machine: where the run began; a worker must be like it.
        data_fingerprint: of the run's data set; the worker's must be the same.
    """

    settings: Settings
    workdir: Path
    session: int
    machine: Machine
    data_fingerprint: str


@dataclass(frozen=True)
class Joined:
    """What a worker answers to an assignment.

    Attributes:
        name: of its host and process, for the user.
        lanes: individuals it trains at once; 0 where it must not take part.
        refusal: what of it is not like where the run began, in words; empty where it takes part.
    """

    name: str
    lanes: int
    refusal: str = ""


@dataclass(frozen=True)
class Report:
    """What a worker has to say.

    Attributes:
        records: of trainings that finished since the last report.
        silent_seconds: since the last sign of life of its most silent training, on its own clock.
    """

    records: list[Record]
    silent_seconds: float


class Worker:
    """Takes births from the host and trains them on the devices of this process. Its methods may run at once."""

    def __init__(self, execution: Execution) -> None:
        """Makes JAX's settings; a TPU host of a slice is told to use its own chips only.

        Args:
            execution: of how many devices a lane is, how many lanes there are, how often to checkpoint.

        Raises:
            RuntimeError: if JAX was loaded before.
        """
        os.environ.update(single_host_topology())
        if not prepare_process(execution):
            raise RuntimeError("JAX was loaded before jaxevo could make its settings")
        self._execution = execution
        self._executor: LocalExecutor | None = None
        self._attempts = GivenAttempts()
        self._closing = False

    def describe(self) -> Machine:
        """Returns what may shape a result's last bits here."""
        from jaxevo.execution.machine import describe_machine

        return describe_machine(self._execution)

    def join(self, assignment: Assignment) -> Joined:
        """Loads the data set and starts the lanes, unless this worker is not like where the run began."""
        from jaxevo.data import load
        from jaxevo.environment.folders import cache_dir
        from jaxevo.execution.local import LocalExecutor
        from jaxevo.networks.compilation import use_persistent_cache

        name = f"{platform.node()}, process {os.getpid()}"
        different = differences(self.describe(), assignment.machine)
        if different:
            return Joined(name, 0, f"its {'; its '.join(different)} when the run began")
        dataset = load(assignment.settings.dataset)
        if dataset.fingerprint != assignment.data_fingerprint:
            return Joined(name, 0, f"its data set {assignment.settings.dataset!r} is not the run's")
        use_persistent_cache(cache_dir() / "executables")
        self._executor = LocalExecutor(
            assignment.settings,
            dataset,
            Workdir(assignment.workdir),
            self._execution,
            assignment.session,
            self._attempts,
        )
        return Joined(name, self._executor.lanes)

    def submit(self, births: Sequence[tuple[Birth, int]]) -> None:
        """Takes births with the numbers of their attempts, which the host has made durable."""
        self._attempts.add(births)
        self._lanes().submit([birth for birth, _ in births])

    def report(self, timeout: float) -> Report:
        """Returns what has finished, as soon as anything has, else after `timeout` seconds: a sign of life.

        Raises:
            Exception: what ended a lane.
        """
        executor, deadline = self._lanes(), time.monotonic() + timeout
        records: list[Record] = []
        while not records and not self._closing and time.monotonic() < deadline:
            records = executor.finished(_POLL_SECONDS)
        return Report(records, executor.silent_seconds)

    def close(self) -> list[Record]:
        """Drops the trainings and returns the records that no report has returned."""
        self._closing = True
        return self._lanes().close()

    def _lanes(self) -> "LocalExecutor":
        if self._executor is None:
            raise RuntimeError("the worker has not joined")
        return self._executor


class GivenAttempts:
    """Attempts that the host has begun: numbered, and durable before they came here."""

    def __init__(self) -> None:
        """Knows of none."""
        self._numbers: dict[int, int] = {}
        self._lock = threading.Lock()

    def add(self, births: Sequence[tuple[Birth, int]]) -> None:
        """Takes numbers of attempts."""
        with self._lock:
            self._numbers.update((birth.id, number) for birth, number in births)

    def begin(self, births: Sequence[Birth]) -> list[int]:
        """Returns the numbers that the host gave."""
        with self._lock:
            return [self._numbers.pop(birth.id) for birth in births]

    def lost(self, birth_id: int, number: int, reason: str) -> None:
        """Leaves it to the host, which learns of the error by the next report."""

    def suspicious(self, birth_id: int) -> bool:
        """Returns False: the host sends a birth that is to be trained alone to a worker that trains nothing else."""
        return False
