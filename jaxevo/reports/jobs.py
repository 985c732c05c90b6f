"""The jobs that need JAX with a run's settings: begin, resume, replay, finish, measure and verify a run.

A job is data, so that it can be sent to another process as JSON; `jaxevo.reports.child` carries it out.
"""

import contextlib
import dataclasses
import shlex
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from jaxevo.doors.spec import outside
from jaxevo.doors.trust import Trust, trust_of
from jaxevo.reports.next_command import next_command
from jaxevo.reports.overview import read_result
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.journal import read_journal
from jaxevo.storage.workdir import Workdir

if TYPE_CHECKING:
    from jaxevo.session.events import OnEvent
    from jaxevo.session.progress import Watcher
    from jaxevo.session.session import Ended


_RESULT = "measuring the result: the best networks by vote, and a linear model"


class Stopped(KeyboardInterrupt):
    """A signal stopped a job; the message says how to resume."""


@dataclass(frozen=True)
class Job(ABC):
    """A job on a work folder.

    Attributes:
        path: the work folder.
        execution: the execution settings.
        beside_others: True for a job that may share its GPU with a run.
    """

    beside_others: ClassVar[bool] = False

    path: Path
    execution: Execution

    @abstractmethod
    def carry_out(self, on_event: "OnEvent | None" = None) -> Any:
        """Carries out the job in this process and returns JSON values; `on_event` receives every told event."""

    def stopped(self) -> Stopped:
        """Returns the exception to raise after a signal."""
        return Stopped("Stopped.")


@dataclass(frozen=True)
class SessionJob(Job):
    """A session of a run, with its result."""

    @property
    def dataset_place(self) -> str | None:
        """Name or path of the data set, None for where it was."""
        return None

    @property
    def _trust(self) -> Trust:
        return trust_of(self.execution)

    def carry_out(self, on_event: "OnEvent | None" = None) -> None:
        """Evolves until a limit is reached, finishes the best individual, shows the progress, and writes the result."""
        from jaxevo.reports.progress import watch
        from jaxevo.reports.trackers.tracking import Tracking
        from jaxevo.session.events import Telling
        from jaxevo.session.progress import INTERRUPTED

        earlier = read_result(self.path)
        with watch() as view, Tracking(view, self.path, self.execution.log) as watcher:
            with _connection(self.execution):
                ended = self.evolve(watcher if on_event is None else Telling(watcher, on_event))
                if ended.stop_reason == INTERRUPTED:
                    raise self.stopped()
                share = ended.progress.limits.finish_share
                trains = ended.progress.space.network is not None
                best = ended.progress.state.best_trained
                if share and trains and best is not None and best.cost.training_flops:
                    # Somebody may have asked for a longer finish since.
                    _finish(self, share, watcher, self._trust, longer_stays=True)
            if trains:
                watcher.announce(_RESULT)
            _measure(self, earlier, self._trust)
            watcher.ended(self._trust)

    @abstractmethod
    def evolve(self, watcher: "Watcher") -> "Ended":
        """Evolves until a limit is reached or a signal arrives."""

    def stopped(self) -> Stopped:
        """Returns the exception to raise after a signal."""
        if not (self.path / "manifest.json").exists():
            return Stopped("Stopped before the run began.")
        again = next_command("resume", self.path, self._limits_given, self._execution_again, dataset=self.dataset_place)
        return Stopped(f"Stopped; finished individuals are kept. To resume: {again}")

    @property
    def _limits_given(self) -> Limits:
        """Limits that the journal does not hold before the session has begun."""
        return Limits()

    @property
    def _execution_again(self) -> Execution:
        """The execution of the next session."""
        return self.execution


def _connection(execution: Execution) -> contextlib.AbstractContextManager[None]:
    """Returns a context in which a session and the finishes after it share a connection to a cluster."""
    if execution.executor == "local":
        return contextlib.nullcontext()
    from jaxevo.execution.ray.client import staying_connected

    return staying_connected()


@dataclass(frozen=True)
class Begin(SessionJob):
    """A job that begins a run in a new folder."""

    settings: Settings
    limits: Limits
    from_run: Path | None = None
    from_genotype: Path | None = None
    keep_data: bool = False

    def evolve(self, watcher: "Watcher") -> "Ended":
        """Evolves until a limit is reached or a signal arrives."""
        from jaxevo.session.run import start_run

        return start_run(
            self.path,
            self.settings,
            self.limits,
            self.execution,
            watcher,
            from_run=self.from_run,
            from_genotype=self.from_genotype,
            keep_data=self.keep_data,
        )

    @property
    def _trust(self) -> Trust:
        """The user named the doors of the run that this job begins."""
        return Trust(code=True)

    @property
    def _execution_again(self) -> Execution:
        """The execution of the next session, which reads the doors from the folder."""
        return dataclasses.replace(self.execution, trust_code=True) if outside(self.settings) else self.execution


@dataclass(frozen=True)
class Resume(SessionJob):
    """A job that resumes a run."""

    limits: Limits
    skip: tuple[int, ...] = ()
    dataset: str | None = None

    @property
    def dataset_place(self) -> str | None:
        """Name or path of the data set, None for where it was."""
        return self.dataset

    def evolve(self, watcher: "Watcher") -> "Ended":
        """Evolves until a limit is reached or a signal arrives."""
        from jaxevo.session.run import resume_run

        return resume_run(self.path, self.limits, self.execution, watcher, self.skip, self.dataset)

    @property
    def _limits_given(self) -> Limits:
        """Limits that the journal does not hold before the session has begun."""
        return self.limits


@dataclass(frozen=True)
class Replay(SessionJob):
    """A job that replays a run in a new folder."""

    source: Path
    dataset: str | None = None

    @property
    def dataset_place(self) -> str | None:
        """Name or path of the data set, None for where it was."""
        return self.dataset

    def evolve(self, watcher: "Watcher") -> "Ended":
        """Evolves until all individuals are trained or a signal arrives."""
        from jaxevo.session.run import replay_run

        return replay_run(self.source, self.path, self.execution, watcher, self.dataset)


@dataclass(frozen=True)
class Finish(Job):
    """A job that trains the best individual of a run, or each of the ensemble, on."""

    share: float
    dataset: str | None = None
    ensemble_size: int = 1

    def carry_out(self, on_event: "OnEvent | None" = None) -> None:
        """Finishes the run, shows the progress, and writes the result."""
        from jaxevo.reports.progress import watch
        from jaxevo.reports.trackers.tracking import Tracking

        with watch() as view, Tracking(view, self.path, self.execution.log) as watcher:
            trust = trust_of(self.execution)
            # Before a finish removes it: its linear model need not be fitted again.
            earlier = read_result(self.path)
            with _connection(self.execution):
                _finish(self, self.share, watcher, trust, self.ensemble_size)
            if read_journal(Workdir(self.path).journal, {"start", "stop"}).stopped is None:
                watcher.notice("the last session of the run was killed: jaxevo resume goes on, and writes its result")
                return
            watcher.announce(_RESULT)
            size = self.ensemble_size if self.ensemble_size > 1 else None
            _measure(self, earlier, trust, size)
            watcher.ended(trust)

    @property
    def dataset_place(self) -> str | None:
        """Name or path of the data set, None for where it was."""
        return self.dataset

    def stopped(self) -> Stopped:
        """Returns the exception to raise after a signal."""
        return _finish_stopped(self, self.share, self.ensemble_size)


def _finish(
    job: SessionJob | Finish,
    share: float,
    watcher: "Watcher",
    trust: Trust,
    ensemble_size: int = 1,
    longer_stays: bool = False,
) -> None:
    from jaxevo.session.finish import FinishInterrupted, finish_run

    try:
        finish_run(job.path, share, job.execution, watcher, job.dataset_place, trust, ensemble_size, longer_stays)
    except FinishInterrupted as interrupted:
        raise _finish_stopped(job, share, ensemble_size) from interrupted


def _finish_stopped(job: SessionJob | Finish, share: float, ensemble_size: int) -> Stopped:
    execution = job.execution if isinstance(job, Finish) else job._execution_again
    size = ensemble_size if ensemble_size > 1 else None
    again = next_command("finish", job.path, execution, share=share, ensemble_size=size, dataset=job.dataset_place)
    return Stopped(f"Stopped; the run is complete, and its finish goes on from its last checkpoint: {again}")


@dataclass(frozen=True)
class Measure(Job):
    """A job that writes the result of a run that has stopped."""

    beside_others = True

    earlier: dict[str, Any]
    dataset: str | None = None
    ensemble_size: int | None = None

    def carry_out(self, on_event: "OnEvent | None" = None) -> None:
        """Measures the ensemble and simple models on the test images, and writes the result."""
        from jaxevo.reports.ensemble import ENSEMBLE_SIZE
        from jaxevo.reports.result import write_result

        size = ENSEMBLE_SIZE if self.ensemble_size is None else self.ensemble_size
        write_result(self.path, size, self.earlier, self.dataset, trust_of(self.execution))


def _measure(
    job: SessionJob | Finish,
    earlier: Mapping[str, Any],
    trust: Trust,
    ensemble_size: int | None = None,
) -> None:
    """Writes the result of the run of a job.

    The head of a cluster keeps its own process off accelerators. If it has any, they are free by now, and another
    process uses them.
    """
    from jaxevo.reports.child import carry_out

    execution = Execution(
        fast=job.execution.fast, trust_code=trust.code, trust_doors=shlex.join(trust.doors) if trust.doors else None
    )
    try:
        carry_out(Measure(job.path, execution, dict(earlier), job.dataset_place, ensemble_size))
    except Stopped as stopped:
        raise job.stopped() from stopped


@dataclass(frozen=True)
class Verify(Job):
    """A job that verifies a run: recomputes its decisions, hashes its weights, and retrains lineages."""

    beside_others = True

    retrain: Literal["best"] | int | None = None
    dataset: str | None = None

    def carry_out(self, on_event: "OnEvent | None" = None) -> list[str]:
        """Returns a sentence for each difference, and prints what was checked."""
        from jaxevo.reports.verify import verify_run

        trust = trust_of(self.execution)
        return verify_run(self.path, self.retrain, lambda text: print(text, flush=True), self.dataset, trust)


_KINDS: dict[str, type[Job]] = {kind.__name__: kind for kind in (Begin, Resume, Replay, Finish, Measure, Verify)}
_READERS: dict[Any, Callable[[Any], Any]] = {
    Path: Path,
    Path | None: lambda path: None if path is None else Path(path),
    Settings: lambda fields: Settings(**fields),
    Limits: lambda fields: Limits(**fields),
    Execution: lambda fields: Execution(**fields),
    tuple[int, ...]: tuple,
}


def job_to_json(job: Job) -> dict[str, Any]:
    """Returns a job as JSON values."""
    fields = {name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(job).items()}
    return {"job": type(job).__name__, **fields}


def job_from_json(fields: dict[str, Any]) -> Job:
    """Returns the job that `job_to_json` serialised."""
    kind = _KINDS[fields.pop("job")]
    hints = typing.get_type_hints(kind)
    return kind(**{name: _READERS.get(hints[name], lambda same: same)(value) for name, value in fields.items()})
