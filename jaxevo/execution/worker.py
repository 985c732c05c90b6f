"""The worker: the process that holds the lanes of one host of a cluster.

It receives births with the numbers of their attempts and returns records; weights go through the work folder. The
module imports nothing that loads JAX, because the process must set JAX up first.
"""

import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxevo.doors.opening import Door, open_recorded
from jaxevo.environment import prepare_process
from jaxevo.search.births import Birth
from jaxevo.search.space import Task
from jaxevo.search.state_json import birth_from_json
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
    """The facts about a session that a worker needs.

    Attributes:
        settings: settings of the run.
        workdir: work folder, at the same path on every node.
        session: number of the session.
        task: task of the run.
        doors: doors from outside, whose files are in the work folder. The host was allowed to open them.
        machine: machine that began the run; the worker's must equal it.
        data_fingerprint: fingerprint of the run's data set; the worker's must equal it.
        dataset_place: name or path by which the host loaded the data set; empty for that of the settings.
        finish_learning_rate: learning rate of a finish, which trains one individual on with `settings`; None to train
            births.
    """

    settings: Settings
    workdir: Path
    session: int
    task: Task
    doors: tuple[Door, ...]
    machine: Machine
    data_fingerprint: str
    dataset_place: str = ""
    finish_learning_rate: float | None = None

    @property
    def finishing(self) -> bool:
        """True for a finish."""
        return self.finish_learning_rate is not None


@dataclass(frozen=True)
class Joined:
    """A worker's answer to an assignment.

    Attributes:
        name: its host and process, for the user.
        lanes: number of lanes; 0 if it is refused.
        refusal: its differences from the machine or data that began the run; empty if it joined.
        lanes_per_accelerator: lanes that share an accelerator; 1 on CPU.
    """

    name: str
    lanes: int
    refusal: str = ""
    lanes_per_accelerator: int = 1


@dataclass(frozen=True)
class Report:
    """A worker's report.

    Attributes:
        records: records of trainings that finished since the last report.
        silent_seconds: seconds since the last sign of life of its most silent training, on its own clock.
        step: steps of a finish that are done, None before it begins and for births.
    """

    records: list[Record]
    silent_seconds: float
    step: int | None = None


class Worker:
    """A worker: trains births from the host on the devices of this process. Its methods may run concurrently."""

    def __init__(self, execution: Execution) -> None:
        """Sets JAX up.

        Args:
            execution: number of lanes, devices per lane, and seconds between checkpoints.

        Raises:
            RuntimeError: if JAX was loaded before.
        """
        if not prepare_process(execution):
            raise RuntimeError("JAX was loaded before jaxevo could set it up")
        self._execution = execution
        self._executor: LocalExecutor | None = None
        self._birth: Callable[[dict[str, Any]], Birth]
        self._attempts = GivenAttempts()
        self._closing = False
        self._unread: Exception | None = None

    def describe(self) -> Machine:
        """Returns the machine of this process."""
        from jaxevo.execution.machine import describe_machine

        return describe_machine(self._execution)

    def join(self, assignment: Assignment) -> Joined:
        """Loads the data set and starts the lanes, unless machine or data differ from those that began the run."""
        name = f"{platform.node()}, process {os.getpid()}"
        try:
            return self._join(name, assignment)
        except (ValueError, OSError) as error:
            # Another worker in this one's place would fail alike.
            return Joined(name, 0, str(error))

    def _join(self, name: str, assignment: Assignment) -> Joined:
        from jaxevo.data import augmented_as, load
        from jaxevo.environment.folders import cache_dir
        from jaxevo.execution.finishing import FinishExecutor
        from jaxevo.execution.local import LocalExecutor
        from jaxevo.networks.compilation import use_persistent_cache

        different = differences(self.describe(), assignment.machine)
        if different:
            return Joined(name, 0, f"its {'; its '.join(different)} when the run began")
        settings = assignment.settings
        dataset = augmented_as(
            load(assignment.dataset_place or settings.dataset, settings.image_size, recorded=True), settings.dataset
        )
        if dataset.fingerprint != assignment.data_fingerprint:
            return Joined(name, 0, f"its data set {settings.dataset!r} is not the run's")
        use_persistent_cache(cache_dir() / "executables")
        workdir = Workdir(assignment.workdir)
        doors = open_recorded(settings, assignment.doors, assignment.workdir)
        self._birth = lambda fields: birth_from_json(fields, settings, doors.space, assignment.task)
        rate = assignment.finish_learning_rate
        if rate is not None:
            self._executor = FinishExecutor(settings, doors, dataset, workdir, self._execution, self._attempts, rate)
        else:
            self._executor = LocalExecutor(
                settings, doors, dataset, workdir, self._execution, assignment.session, self._attempts
            )
        return Joined(name, self._executor.lanes, lanes_per_accelerator=self._executor.lanes_per_accelerator)

    def submit(self, births: Sequence[tuple[dict[str, Any], int]]) -> None:
        """Queues births, as JSON values, with the numbers of their attempts, which the host has made durable."""
        executor = self._lanes()
        try:
            read = [(self._birth(fields), number) for fields, number in births]
        except Exception as error:
            # Nobody waits for what this returns.
            self._unread = error
            return
        self._attempts.add(read)
        executor.submit([birth for birth, _ in read])

    def report(self, timeout: float) -> Report:
        """Returns a report as soon as a training has finished, or after `timeout` seconds as a sign of life.

        Raises:
            Exception: the error that ended a lane, or that of a birth that cannot be read.
        """
        executor, deadline = self._lanes(), time.monotonic() + timeout
        records: list[Record] = []
        if self._unread is not None:
            raise self._unread
        while not records and not self._closing and time.monotonic() < deadline:
            records = executor.finished(_POLL_SECONDS)
        return Report(records, executor.silent_seconds, executor.step)

    def close(self) -> list[Record]:
        """Drops the running trainings and returns the records that no report has returned."""
        self._closing = True
        return self._lanes().close()

    def _lanes(self) -> "LocalExecutor":
        if self._executor is None:
            raise RuntimeError("the worker has not joined")
        return self._executor


class GivenAttempts:
    """The attempts that the host has made: numbered and durable before they reach the worker."""

    def __init__(self) -> None:
        """Begins without attempts."""
        self._numbers: dict[int, int] = {}
        self._lock = threading.Lock()

    def add(self, births: Sequence[tuple[Birth, int]]) -> None:
        """Adds births with the numbers of their attempts."""
        with self._lock:
            self._numbers.update((birth.id, number) for birth, number in births)

    def begin(self, births: Sequence[Birth]) -> list[int]:
        """Returns the numbers that the host gave."""
        with self._lock:
            return [self._numbers.pop(birth.id) for birth in births]

    def lost(self, birth_id: int, number: int, reason: str) -> None:
        """Does nothing: the host notes it when the next report raises the error."""

    def suspicious(self, birth_id: int) -> bool:
        """Returns False: the host sends a birth that must be trained alone to a worker that is empty."""
        return False
