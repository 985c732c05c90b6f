"""Run the lanes of this machine as threads.

On CPU all lanes share one device and one set of programs, and each step runs in the thread that calls it. On
accelerators each device has one lane, or `lanes_per_device` lanes that share its data and programs; a group of
`devices_per_lane` devices has one lane. Further threads compile ahead for each device or group, in due order.
"""

import queue
import threading
import time
from collections.abc import Iterable

from jaxevo.data import Dataset
from jaxevo.execution.lane import Lane
from jaxevo.execution.leaving import leave_running
from jaxevo.execution.placement import lane_devices, lanes_per_accelerator, number_of_lanes, threads_ahead
from jaxevo.execution.queue import BirthQueue
from jaxevo.execution.training_loop import CancelledError
from jaxevo.networks.batches import bytes_held
from jaxevo.networks.compilation import Compiler
from jaxevo.networks.trainer import Trainer
from jaxevo.search.births import Birth
from jaxevo.search.doors import Doors
from jaxevo.settings import Execution, Settings
from jaxevo.storage.attempts import AttemptKeeper
from jaxevo.storage.checkpoint import CheckpointError
from jaxevo.storage.journal import Record
from jaxevo.storage.workdir import Workdir

# A signal must be answered within five seconds, and nothing can interrupt a compilation.
_PATIENCE_SECONDS = 3.0


class LaneError(RuntimeError):
    """A training could not be carried out. The session stops; finished individuals are kept."""


class LocalExecutor:
    """An executor on the lanes of this machine.

    Attributes:
        lanes: number of lanes.
        lanes_per_accelerator: lanes that share an accelerator; 1 on CPU, where each has a core.
    """

    def __init__(
        self,
        settings: Settings,
        doors: Doors,
        dataset: Dataset,
        workdir: Workdir,
        execution: Execution,
        session: int,
        attempts: AttemptKeeper,
    ) -> None:
        """Puts the data on the devices and starts the lanes.

        Args:
            settings: settings of the run.
            doors: doors of the run.
            dataset: data set of the run.
            workdir: work folder for weights and training checkpoints.
            execution: number of lanes, devices per lane, and seconds between checkpoints.
            session: number of the session, for the records.
            attempts: makes attempts durable before trainings start.

        Raises:
            ValueError: if there are too few devices.
        """
        groups = lane_devices(execution)
        self.lanes = number_of_lanes(execution, groups)
        used = groups[: self.lanes]
        self.lanes_per_accelerator = lanes_per_accelerator(self.lanes, used)
        self._session = session
        self._attempts = attempts
        self._queue = BirthQueue(attempts)
        self._finished: queue.SimpleQueue[Record | Exception] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._bytes_held = bytes_held(settings, dataset)
        trainers = [Trainer(settings, dataset, devices, execution.programs_in_memory, doors) for devices in used]
        self._compilers = [trainer.compiler for trainer in trainers]
        self._threads = [
            threading.Thread(target=self._compile_ahead, args=(compiler,), name="compiler", daemon=True)
            for compiler in self._compilers
            for _ in range(threads_ahead(self.lanes, used))
        ]
        for number in range(self.lanes):
            lane = self._lane(trainers[number % len(used)], workdir, execution.checkpoint_seconds)
            self._threads.append(threading.Thread(target=self._work, args=(lane,), name=f"lane {number}", daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, births: Iterable[Birth]) -> None:
        """Queues births for the lanes, which take them in due order."""
        self._queue.submit(births)

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records of finished trainings, waiting at most `timeout` seconds for the first.

        Raises:
            Exception: the error that ended a lane.
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
            return records  # Return these first, so that they are kept; the next call raises the error.
        raise self._error

    def close(self) -> list[Record]:
        """Drops the running trainings, stops the lanes, and returns the records of trainings that still finished.

        It does not wait for a thread that still compiles after a few seconds.
        """
        self._queue.close()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        leave_running(self._threads)
        records = []
        while not self._finished.empty():
            item = self._finished.get()
            if isinstance(item, Record):
                records.append(item)
        return records

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last sign of life of the most silent training; 0 if none runs."""
        return self._queue.silent_seconds

    @property
    def step(self) -> int | None:
        """None: births are trained, not a finish."""
        return None

    def _lane(self, trainer: Trainer, workdir: Workdir, checkpoint_seconds: float) -> Lane:
        return Lane(trainer, workdir, checkpoint_seconds)

    def _work(self, lane: Lane) -> None:
        while (birth := self._queue.take(lane.trainer.compiler)) is not None:
            try:
                self._finished.put(self._attempt(lane, birth))
            except CancelledError:
                return
            except Exception as error:
                self._finished.put(error)
                return
            finally:
                self._queue.end(birth)

    def _attempt(self, lane: Lane, birth: Birth) -> Record:
        """Trains a birth; counts an error that the training may have caused as a death."""
        [number] = self._attempts.begin([birth])
        try:
            return lane.train(birth, number, self._session, lambda: self._queue.cancelled(birth))
        except (CancelledError, CheckpointError, OSError):  # Not the training's fault: missing weights, a full disk.
            raise
        except Exception as error:
            self._attempts.lost(birth.id, number, str(error))
            raise self._explained(error, birth) from error

    def _compile_ahead(self, compiler: Compiler) -> None:
        while (unknown := self._queue.take_unknown(self._compilers)) is not None:
            try:
                compiler.programs(unknown)
            except Exception:
                # The lane that trains the birth compiles again, and tells the error; if none does, it is nobody's.
                continue
            self._queue.compiled(unknown)

    def _explained(self, error: Exception, birth: Birth) -> LaneError:
        """Returns an error that names the individual, and says what to do if memory ran out."""
        advice = "see the cause"
        if "RESOURCE_EXHAUSTED" in str(error):
            held = f"{self._bytes_held / 1e6:,.0f} MB of images and plan"
            advice = (
                f"resume with fewer lanes on each device, or with --skip-birth {birth.id}; a new run may have a "
                f"--max-memory below what the device has for each lane, less the {held}"
            )
        reason = f"{type(error).__name__}: {error}"
        return LaneError(f"training individual {birth.id} failed ({reason}): {advice}. Finished individuals are kept")
