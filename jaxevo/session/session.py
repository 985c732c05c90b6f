"""A session: one process's part of a run."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import jax

from jaxevo.data import Dataset
from jaxevo.environment.folders import cache_dir
from jaxevo.execution.executor import Executor
from jaxevo.execution.local import LocalExecutor
from jaxevo.execution.machine import machine_of_session
from jaxevo.execution.measuring import MeasuringExecutor
from jaxevo.execution.waiting import BIRTHS_A_LANE, expected_idle_share
from jaxevo.execution.worker import Assignment
from jaxevo.networks.batches import bytes_held
from jaxevo.networks.compilation import use_persistent_cache
from jaxevo.search.births import Outcome
from jaxevo.session.loop import HostLoop, SessionClock
from jaxevo.session.progress import FAILED, INTERRUPTED, Progress, Watcher
from jaxevo.settings import Execution, Limits
from jaxevo.signals import wish_to_stop
from jaxevo.storage.attempts import Attempts
from jaxevo.storage.journal import Record, Start, Stop
from jaxevo.storage.manifest import manifest_sha256
from jaxevo.storage.stored_run import RunWriter, StoredRun

# A smaller share is not worth another num_workers.
_IDLE_SHARE_TO_TELL = 0.02


@dataclass(frozen=True)
class Ended:
    """The end of a session.

    Attributes:
        stop_reason: the limit that was reached, or `INTERRUPTED`.
        progress: progress at the end.
    """

    stop_reason: str
    progress: Progress


class Session:
    """A session of a run; requires the lock of the work folder."""

    def __init__(
        self,
        run: StoredRun,
        dataset: Dataset | None,
        execution: Execution,
        watcher: Watcher,
        clock: SessionClock | None = None,
    ) -> None:
        """Prepares a session; opens nothing yet.

        Args:
            run: the run as earlier sessions left it.
            dataset: data set of the run, None if nothing is trained.
            execution: execution of the session.
            watcher: receives the progress.
            clock: clock of the session, for its limit on time; by default it begins now.
        """
        self._run = run
        self._dataset = dataset
        self._execution = execution
        self._watcher = watcher
        self._clock = clock or SessionClock()
        self._number = len(run.content.sessions) + 1

    def evolve(self, limits: Limits, skip: Sequence[int] = (), reason: str | None = None) -> Ended:
        """Evolves until a limit is reached or a signal arrives.

        Args:
            limits: limits of the session.
            skip: births in training to count as failed.
            reason: stop reason of a session in which nobody is to be trained.

        Raises:
            Exception: the error that ended a lane; finished individuals are kept.
        """
        use_persistent_cache(cache_dir() / "executables")
        events_a_snapshot = self._execution.events_a_snapshot(self._run.manifest.settings.population_size)
        with RunWriter(self._run, events_a_snapshot) as writer, wish_to_stop() as interrupted:
            executor = self._executor(writer)
            try:
                # First, so that a run which cannot go on stays as it was.
                loop = HostLoop(self._run, limits, writer, executor, self._watcher, self._clock, self._execution.keep)
                self._say_what_to_expect(executor)
                self._begin(writer, loop, limits, skip)
            except BaseException:
                executor.close()
                raise
            try:
                reason = reason or loop.until_stopped(interrupted)
            except BaseException:
                # Keep what has finished, and note a clean end, so that no training counts as a death.
                with contextlib.suppress(OSError):
                    self._stop(FAILED, loop, executor, writer)
                raise
            progress = self._stop(reason, loop, executor, writer)
            writer.snapshot(progress.state)
            # A signal during the last event, or since, ends the session before a finish.
            return Ended(INTERRUPTED if interrupted() else reason, progress)

    def _begin(self, writer: RunWriter, loop: HostLoop, limits: Limits, skip: Sequence[int]) -> None:
        """Records the start of the session and the skipped births in the journal."""
        machine = machine_of_session(self._execution, self._run.manifest.machine)
        writer.begin(Start(self._number, time.time(), limits, manifest_sha256(self._run.workdir), machine))
        loop.skip([_skipped(birth_id, self._number) for birth_id in skip])

    def _executor(self, writer: RunWriter) -> Executor:
        """Returns the executor of the session."""
        run, execution, manifest, dataset = self._run, self._execution, self._run.manifest, self._dataset
        attempts = Attempts(writer.journal, run.content, self._number, execution.max_deaths, writer.first_step)
        if dataset is None:
            return MeasuringExecutor(run.doors.space, manifest.task, manifest.settings.seed, self._number, attempts)
        if execution.executor == "local":
            return LocalExecutor(manifest.settings, run.doors, dataset, run.workdir, execution, self._number, attempts)
        from jaxevo.execution.ray.cluster import ClusterExecutor

        assignment = Assignment(
            settings=manifest.settings,
            workdir=run.workdir.path.absolute(),
            session=self._number,
            task=manifest.task,
            doors=manifest.doors,
            machine=manifest.machine,
            data_fingerprint=dataset.fingerprint,
            dataset_place=dataset.source,
        )
        return ClusterExecutor(assignment, run.doors.space, execution, attempts, self._watcher.notice)

    def _say_what_to_expect(self, executor: Executor) -> None:
        """Tells the user if lanes will wait, and what `fast` costs."""
        settings = self._run.manifest.settings
        workers = settings.virtual_workers
        few = workers < BIRTHS_A_LANE * executor.lanes and not settings.wall_clock
        expected = expected_idle_share(workers, executor.lanes) if few else 0.0
        if expected >= _IDLE_SHARE_TO_TELL:
            self._watcher.notice(
                f"num_workers is {workers} for {executor.lanes} lanes: with fewer than {BIRTHS_A_LANE} births "
                f"in flight per lane, lanes wait for the next outcome, here some {expected:.0%} of their time; the "
                "result is the same"
            )
        if self._execution.fast:
            self._watcher.notice(_what_fast_costs(self._execution))
        if (
            self._dataset is not None
            and self._execution.executor == "local"
            and jax.local_devices()[0].platform != "cpu"
        ):
            held, most = bytes_held(settings, self._dataset), settings.max_memory
            each = "no max_memory bounds each" if most is None else f"each up to max_memory, {most / 1e6:,.0f} MB"
            self._watcher.notice(
                f"a device holds {held / 1e6:,.0f} MB of images and plan, beside the networks in training ({each})"
            )

    def _stop(self, reason: str, loop: HostLoop, executor: Executor, writer: RunWriter) -> Progress:
        """Stops the lanes and records the end of the session, even if a second signal interrupts it."""
        try:
            loop.keep(executor.close())
        finally:
            progress = loop.progress()
            state = progress.state
            stop = Stop(self._number, state.events, reason, state.fingerprint, progress.session_seconds)
            writer.journal.append([stop])
        return progress


def _what_fast_costs(execution: Execution) -> str:
    # This process does not know the devices of workers.
    device = jax.local_devices()[0] if execution.executor == "local" else None
    if device is not None and device.platform != "gpu":
        return f"fast turns nothing off on {device.device_kind}: only GPUs have operations that are not deterministic"
    return (
        "fast is on: operations are not deterministic and kernels are chosen by timing, so the same seed does not "
        "reproduce the run, and 'jaxevo verify --retrain' will find other bits"
    )


def _skipped(birth_id: int, session: int) -> Record:
    outcome = Outcome(birth_id, 0.0, None, None, failure="the user had it skipped")
    return Record(outcome, None, 0.0, 0.0, time.time(), session, attempt=0)
