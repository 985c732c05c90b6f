"""Lanes of this machine, as threads.

On CPU all lanes share one device and one set of programs, and each step runs in the thread that asks for it. With
accelerators every device has a lane of its own, or `lanes_per_device` that share its data and programs; a group of
`devices_per_lane` devices has one. More threads compile ahead for each of these, in due order: as many as there are
spare cores, and one at least.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Iterable

from jaxevo.data import Dataset
from jaxevo.execution.lane import CancelledError, DeviceData, Lane
from jaxevo.networks.compilation import Compiler
from jaxevo.networks.devices import Devices, device_groups
from jaxevo.search.births import Birth
from jaxevo.search.in_flight import by_due
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.storage.attempts import AttemptKeeper
from jaxevo.storage.journal import Record
from jaxevo.storage.workdir import Workdir

# A lane that waits for the interpreter, while another thread traces a program, must not wait for the default 5 ms: a
# step of a small net takes a fifth of that.
SWITCH_SECONDS = 0.0005
# More would wait: a lane has about four births in flight.
_MOST_COMPILING_AHEAD = 4
# A lane of an accelerator trains a small network faster than a core compiles it, and leaves its own core idle.
_MOST_COMPILING_FOR_ACCELERATOR = 16
# A signal is to be answered within five seconds, and nothing can interrupt a compilation.
_PATIENCE_SECONDS = 3.0


class LaneError(RuntimeError):
    """A training could not be carried out; the run stops, and what had finished is kept."""


class LocalExecutor:
    """Trains births on the lanes of this machine."""

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        workdir: Workdir,
        execution: Execution,
        session: int,
        attempts: AttemptKeeper,
    ) -> None:
        """Puts the data on the devices and starts the lanes.

        Args:
            settings: of the run.
            dataset: to train on.
            workdir: where to keep weights and unfinished trainings.
            execution: how many lanes, of how many devices each, and how often to checkpoint long trainings.
            session: what the records are to name.
            attempts: to begin trainings with.

        Raises:
            ValueError: if there are too few devices.
        """
        groups = lane_devices(execution)
        self.lanes = number_of_lanes(execution, groups)
        self._condition = threading.Condition()
        self._session = session
        self._attempts = attempts
        self._waiting: list[Birth] = []
        # The births in training, each with the moment of its last sign of life.
        self._in_training: dict[int, float] = {}
        self._closing = False
        self._error: Exception | None = None
        self._finished: queue.SimpleQueue[Record | Exception] = queue.SimpleQueue()
        sys.setswitchinterval(SWITCH_SECONDS)
        used = groups[: self.lanes]
        data = [DeviceData(settings, dataset, devices) for devices in used]
        self._compilers = [Compiler(settings, dataset, devices, execution.programs_in_memory) for devices in used]
        self._compiling_ahead: list[Architecture] = []
        self._threads = [
            threading.Thread(target=self._compile_ahead, args=(compiler,), name="compiler", daemon=True)
            for compiler in self._compilers
            for _ in range(_threads_ahead(self.lanes, used))
        ]
        for number in range(self.lanes):
            place = number % len(used)
            lane = Lane(settings, dataset, data[place], self._compilers[place], workdir, execution)
            self._threads.append(threading.Thread(target=self._work, args=(lane,), name=f"lane {number}", daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, births: Iterable[Birth]) -> None:
        """Makes births available to the lanes, which take them in due order."""
        with self._condition:
            self._waiting = sorted((*self._waiting, *births), key=by_due)
            self._condition.notify_all()

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records of trainings that finished, waiting at most `timeout` seconds for the first.

        Raises:
            Exception: what ended a lane.
        """
        records: list[Record] = []
        try:
            while self._error is None:
                item = self._finished.get(timeout=0 if records else timeout)
                if isinstance(item, Exception):
                    self._error = item
                else:
                    records.append(item)
        except queue.Empty:
            return records
        if records:
            return records  # What had finished first is not lost: the error is raised by the next call.
        raise self._error

    def close(self) -> list[Record]:
        """Drops the running trainings, ends the lanes, and returns the records of those that finished meanwhile.

        A thread that is still compiling after some seconds is left to itself: see `busy`.
        """
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        records = []
        while not self._finished.empty():
            item = self._finished.get()
            if isinstance(item, Record):
                records.append(item)
        return records

    @property
    def busy(self) -> bool:
        """Whether a thread still compiles after `close`: the process must not wait for it to end."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last sign of life of the training that was silent for longest; 0 where none runs."""
        with self._condition:
            return time.monotonic() - min(self._in_training.values(), default=time.monotonic())

    def _cancelled(self, birth: Birth) -> bool:
        """Returns whether a lane is to drop its training; that it asks, between two calls, is a sign of life."""
        with self._condition:
            self._in_training[birth.id] = time.monotonic()
            return self._closing

    def _work(self, lane: Lane) -> None:
        while (birth := self._take(lane.compiler)) is not None:
            try:
                self._finished.put(self._attempt(lane, birth))
            except CancelledError:
                return
            except Exception as error:
                self._finished.put(error)
                return
            finally:
                self._end(birth)

    def _attempt(self, lane: Lane, birth: Birth) -> Record:
        """Trains a birth; an error that its training may have brought about counts as a death."""
        [number] = self._attempts.begin([birth])
        try:
            return lane.train(birth, number, self._session, lambda: self._cancelled(birth))
        except (CancelledError, ValueError, OSError):  # Sentences already: missing or altered weights, a full disk.
            raise
        except Exception as error:
            self._attempts.lost(birth.id, number, str(error))
            raise _explained(error, birth) from error

    def _take(self, compiler: Compiler) -> Birth | None:
        """Returns the next birth for a lane, or None when the lanes end."""
        with self._condition:
            while not self._closing:
                birth = self._next_waiting(compiler)
                if birth is not None:
                    self._waiting.remove(birth)
                    self._in_training[birth.id] = time.monotonic()
                    return birth
                self._condition.wait()
            return None

    def _next_waiting(self, compiler: Compiler) -> Birth | None:
        """Returns the birth that a lane is to train, or None where it must wait.

        One whose training killed the process before is trained alone, so that the next death blames no other.
        """
        if not self._waiting or any(map(self._attempts.suspicious, self._in_training)):
            return None
        birth = self._first_compiled(compiler)
        return None if self._in_training and self._attempts.suspicious(birth.id) else birth

    def _first_compiled(self, compiler: Compiler) -> Birth:
        """Returns the first waiting birth in due order that is compiled, or else the first that nothing compiles yet.

        For a lane that compiles it keeps a core busy; one that waits for what another thread compiles does not.
        """
        unknown = None
        for birth in self._waiting:
            if compiler.has(birth.architecture):
                return birth
            if unknown is None and not compiler.knows(birth.architecture):
                unknown = birth
        return unknown or self._waiting[0]

    def _end(self, birth: Birth) -> None:
        with self._condition:
            del self._in_training[birth.id]
            self._condition.notify_all()

    def _compile_ahead(self, compiler: Compiler) -> None:
        while (unknown := self._next_unknown()) is not None:
            birth, compiled = unknown
            try:
                compiler.programs(compiled)
            except Exception as error:
                self._finished.put(_explained(error, birth))
                return
            finally:
                with self._condition:
                    self._compiling_ahead.remove(compiled)

    def _next_unknown(self) -> tuple[Birth, Architecture] | None:
        """Returns the first waiting birth that nothing has compiled or compiles, or None when the lanes end.

        Its architecture, which is returned too, is noted as being compiled ahead.

        Nothing is compiled ahead as long as a birth has killed the process: it might be the compilation that did.
        """
        with self._condition:
            while not self._closing:
                births = [*(birth.id for birth in self._waiting), *self._in_training]
                if not any(map(self._attempts.suspicious, births)):
                    for birth in self._waiting:
                        compiled = birth.architecture
                        known = compiled in self._compiling_ahead or any(
                            compiler.knows(compiled) for compiler in self._compilers
                        )
                        if not known:
                            self._compiling_ahead.append(compiled)
                            return birth, compiled
                self._condition.wait()
            return None


def lane_devices(execution: Execution) -> list[Devices]:
    """Returns this machine's devices in the groups that lanes own; lanes of one device may share it.

    Raises:
        ValueError: if there are too few devices for a lane, or for all lanes where each has several.
    """
    groups = device_groups(execution.devices_per_lane)
    # Two threads that send programs to the same devices may reach them in different orders, and each all-reduce would
    # then wait for the other for ever.
    if execution.devices_per_lane > 1 and execution.lanes is not None and execution.lanes > len(groups):
        raise ValueError(
            f"lanes is {execution.lanes}, but must be at most {len(groups)}: "
            f"this machine has no more groups of devices_per_lane {execution.devices_per_lane}"
        )
    return groups


def number_of_lanes(execution: Execution, groups: list[Devices]) -> int:
    """Returns how many lanes there are: as many as asked for, in all or on each device.

    By default each group of devices has one; on CPU, where lanes share a device, each core that this process may use.
    """
    if execution.lanes is not None:
        return execution.lanes
    if execution.lanes_per_device is not None:
        return execution.lanes_per_device * len(groups)
    shared = groups[0].first.platform == "cpu" and len(groups[0]) == 1
    return len(os.sched_getaffinity(0)) if shared else len(groups)


def _threads_ahead(lanes: int, groups: list[Devices]) -> int:
    """Returns how many threads compile ahead for a group of devices: on CPU they share the cores that lanes leave."""
    cores = len(os.sched_getaffinity(0))
    if groups[0].first.platform != "cpu":
        return max(1, min(cores // len(groups), _MOST_COMPILING_FOR_ACCELERATOR))
    return max(1, min((cores - lanes) // len(groups), _MOST_COMPILING_AHEAD))


def _explained(error: Exception, birth: Birth) -> LaneError:
    """Returns an error that says which individual it ended, and what to do where memory ran out."""
    advice = "set --max-memory below what the device has" if "RESOURCE_EXHAUSTED" in str(error) else "see the cause"
    return LaneError(f"training individual {birth.id} failed ({error}): {advice}. What had finished is kept")
