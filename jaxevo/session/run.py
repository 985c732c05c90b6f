"""A session of a run: opens or begins its folder, evolves in it, and closes it."""

import contextlib
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax

from jaxevo.data import Dataset, absolute_name, load
from jaxevo.data.cache import cache_dir
from jaxevo.execution.executor import Executor
from jaxevo.execution.local import LocalExecutor, lane_devices
from jaxevo.execution.machine import describe_machine, differences
from jaxevo.execution.waiting import BIRTHS_A_LANE, expected_idle_share
from jaxevo.execution.worker import Assignment
from jaxevo.networks.compilation import use_persistent_cache
from jaxevo.search.evolution import EvolutionState, Outcome, Task, evolution
from jaxevo.session.loop import FAILED, HostLoop, Progress, Watcher
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.signals import wish_to_stop
from jaxevo.storage.attempts import Attempts
from jaxevo.storage.checkpoint import SnapshotStore, TrainingStore, load_latest_snapshot
from jaxevo.storage.history import History
from jaxevo.storage.integrity import check_journal, check_manifest
from jaxevo.storage.journal import Journal, JournalContent, Record, Session, Stop, read_journal
from jaxevo.storage.workdir import (
    Manifest,
    Workdir,
    WorkdirError,
    check_new,
    locked,
    manifest_sha256,
    read_manifest,
    write_manifest,
)

# Below it nobody would set num_workers otherwise.
_IDLE_SHARE_TO_TELL = 0.02


@dataclass(frozen=True)
class Ended:
    """How a session of a run ended.

    Attributes:
        stop_reason: the limit that was met, or `INTERRUPTED`.
        progress: at the end.
        busy: whether a thread of the session still compiles, which nothing can interrupt.
    """

    stop_reason: str
    progress: Progress
    busy: bool


def start_run(path: Path, settings: Settings, limits: Limits, execution: Execution, watcher: Watcher) -> Ended:
    """Begins a run in a new or empty folder and evolves until a limit is met or a signal comes.

    Raises:
        ValueError: with a sentence, where settings, data or folder will not do; nothing was started then.
    """
    check_new(path)
    check_execution(settings, execution)
    dataset = load(settings.dataset)
    # A run is resumed from any folder: a path must not depend on this one.
    settings = dataclasses.replace(settings, dataset=absolute_name(settings.dataset))
    evolution(settings, _task_of(dataset))  # Checks the budgets before anything is written.
    machine = _machine(execution)
    with locked(path):
        check_new(path)
        workdir = Workdir(path)
        manifest = Manifest(
            settings=settings,
            limits=limits,
            data_fingerprint=dataset.fingerprint,
            image_shape=dataset.image_shape,
            class_names=dataset.class_names,
            mean=tuple(map(float, dataset.mean)),
            deviation=tuple(map(float, dataset.std)),
            validation_images=len(dataset.validation.labels),
            machine=machine,
        )
        write_manifest(workdir, manifest)
        return _evolve(workdir, manifest, dataset, JournalContent(), None, limits, execution, watcher)


def resume_run(path: Path, changes: Limits, execution: Execution, watcher: Watcher, skip: Sequence[int] = ()) -> Ended:
    """Goes on with a run, after a crash, an interruption or its end.

    Args:
        path: the run's folder.
        changes: limits to set anew; the others stay as in the last session.
        execution: on what to go on.
        watcher: whoever watches.
        skip: births in training to count as failed; the run is not reproducible from its seed alone then.

    Raises:
        ValueError: with a sentence, where the folder or the data are not the run's, or the devices will not do; nothing
            was changed then.
    """
    workdir = Workdir(path)
    manifest = read_manifest(workdir)
    check_execution(manifest.settings, execution)
    dataset = _same_dataset(path, manifest)
    for difference in _before_resuming(manifest, execution):
        watcher.notice(
            f"{difference} when the run began: from here on its results may differ in their last bits from an "
            "undisturbed run"
        )
    with locked(path):
        content = read_journal(workdir.journal)
        state = load_latest_snapshot(workdir.snapshots)
        check_manifest(workdir, content)
        check_journal(workdir, content, state)
        _check_skipped(skip, content)
        if skip:
            watcher.notice(
                f"counting as failed, without training: {', '.join(map(str, skip))}. The run is not reproducible from "
                "its seed alone any more"
            )
        limits = _limits_changed(manifest, content, changes)
        return _evolve(workdir, manifest, dataset, content, state, limits, execution, watcher, skip)


def replay_run(source: Path, path: Path, execution: Execution, watcher: Watcher) -> Ended:
    """Trains everyone of a run again, in a new folder, telling in the order in which that run told them.

    What its user had skipped is skipped again.

    Raises:
        ValueError: with a sentence, where either folder or the data will not do; nothing was started then.
    """
    check_new(path)
    history = History(Workdir(source))
    told = tuple(history.lives)
    if not told:
        raise WorkdirError(f"the run in {source} has no finished individual yet: there is nothing to replay")
    check_execution(history.manifest.settings, execution)
    dataset = _same_dataset(source, history.manifest)
    machine = _machine(execution)
    for difference in differences(machine, history.manifest.machine):
        watcher.notice(f"{difference} when the run to replay began: the fingerprints may differ")
    limits = Limits(max_individuals=len(told))
    with locked(path):
        check_new(path)
        workdir = Workdir(path)
        manifest = dataclasses.replace(history.manifest, limits=limits, machine=machine, order=told)
        write_manifest(workdir, manifest)
        return _evolve(workdir, manifest, dataset, JournalContent(), None, limits, execution, watcher, history.skipped)


def _limits_changed(manifest: Manifest, content: JournalContent, changes: Limits) -> Limits:
    """Returns the limits of the last session with those that are given in their place.

    The limit that ended it gives way to another that is given: else the run could not be gone on with up to that one.
    """
    limits = content.sessions[-1].limits if content.sessions else manifest.limits
    given = {name: value for name, value in dataclasses.asdict(changes).items() if value is not None}
    met = content.stopped.reason if content.stopped is not None else None
    lifted = {met: None} if given and met in dataclasses.asdict(limits) else {}
    return dataclasses.replace(limits, **{**lifted, **given})


def _task_of(dataset: Dataset) -> Task:
    """Returns what evolution must know of a data set, as `task_of_manifest` does once there is a manifest."""
    return Task(dataset.image_shape, dataset.num_classes, len(dataset.validation.labels))


def _same_dataset(path: Path, manifest: Manifest) -> Dataset:
    """Returns a run's data set; raises `WorkdirError` where it is another by now."""
    dataset = load(manifest.settings.dataset)
    if dataset.fingerprint != manifest.data_fingerprint:
        raise WorkdirError(
            f"the data set {manifest.settings.dataset!r} is not the one that the run in {path} was begun with: "
            "bring that one back, or begin a new run. Nothing was changed"
        )
    return dataset


def _check_skipped(skip: Sequence[int], content: JournalContent) -> None:
    in_training = sorted({attempt.id for attempt in content.attempts} - content.records.keys())
    for birth_id in skip:
        if birth_id not in in_training:
            raise ValueError(
                f"skip_birth is {birth_id}, but must be an individual that was in training when the run stopped: "
                f"{', '.join(map(str, in_training)) or 'there is none'}"
            )


def machine_differences(manifest: Manifest, execution: Execution) -> list[str]:
    """Returns the beginning of a sentence for all that differs here from where a run began."""
    return differences(describe_machine(execution), manifest.machine)


def _machine(execution: Execution) -> dict[str, str]:
    """Returns what a new run is trained on: this machine, or a worker's; raises `ValueError` without a cluster."""
    if execution.executor == "local":
        return describe_machine(execution)
    from jaxevo.execution.ray.client import describe_cluster

    return describe_cluster(execution)


def _before_resuming(manifest: Manifest, execution: Execution) -> list[str]:
    """Returns how this machine differs from where a run began, or connects to the cluster: it compares each worker."""
    if execution.executor == "local":
        return machine_differences(manifest, execution)
    from jaxevo.execution.ray.client import connect

    connect(execution)
    return []


def check_execution(settings: Settings, execution: Execution) -> None:
    """Raises `ValueError` with a sentence where a run cannot be executed so on this machine."""
    execution.check_batch_size(settings.batch_size)
    if execution.executor == "local":
        lane_devices(execution)


def _evolve(
    workdir: Workdir,
    manifest: Manifest,
    dataset: Dataset,
    content: JournalContent,
    state: EvolutionState | None,
    limits: Limits,
    execution: Execution,
    watcher: Watcher,
    skip: Sequence[int] = (),
) -> Ended:
    """Opens all that a session needs, evolves, and closes it.

    Args:
        workdir: of the run.
        manifest: of the run.
        dataset: of the run.
        content: what the journal holds before.
        state: what the last snapshot holds, None where there is none.
        limits: where the session is to end.
        execution: on what it is executed.
        watcher: whoever watches.
        skip: births in training to count as failed.
    """
    settings = manifest.settings
    use_persistent_cache(cache_dir() / "executables")
    snapshots = SnapshotStore(workdir.snapshots)
    with contextlib.closing(snapshots), Journal(workdir.journal) as journal, wish_to_stop() as interrupted:
        workdir.result.unlink(missing_ok=True)  # It will be of another event.
        session = Session(len(content.sessions) + 1, time.time(), limits, manifest_sha256(workdir))
        skipped = [_skipped(birth_id, session.number) for birth_id in skip]
        journal.append([session, *skipped])
        content = dataclasses.replace(content, records=content.records | {one.outcome.id: one for one in skipped})
        first_step = TrainingStore(workdir.training).last_step
        attempts = Attempts(journal, content, session.number, execution.max_deaths, first_step)
        executor = _executor(workdir, manifest, dataset, execution, session, attempts, watcher)
        events = execution.events_a_snapshot(settings.population_size)
        loop = HostLoop(workdir, manifest, limits, content, state, journal, snapshots, executor, watcher, events)
        few = settings.workers < BIRTHS_A_LANE * executor.lanes and not settings.wall_clock
        expected = expected_idle_share(settings.workers, executor.lanes) if few else 0.0
        if expected >= _IDLE_SHARE_TO_TELL:
            watcher.notice(
                f"num_workers is {settings.workers} for {executor.lanes} lanes: with fewer than {BIRTHS_A_LANE} births "
                f"in flight a lane, lanes wait for the outcome that is due next, here some {expected:.0%} of their "
                "time; the result is the same"
            )
        if execution.fast:
            watcher.notice(_what_fast_costs(execution))
        try:
            reason = loop.until_stopped(interrupted)
        except BaseException:
            # What had finished is kept, and no training is taken for one that killed the process.
            with contextlib.suppress(OSError):
                _stop(session, FAILED, loop, executor, journal)
            raise
        progress = _stop(session, reason, loop, executor, journal)
        loop.snapshot()
        return Ended(reason, progress, executor.busy)


def _executor(
    workdir: Workdir,
    manifest: Manifest,
    dataset: Dataset,
    execution: Execution,
    session: Session,
    attempts: Attempts,
    watcher: Watcher,
) -> Executor:
    """Returns what trains the session's births."""
    if execution.executor == "local":
        return LocalExecutor(manifest.settings, dataset, workdir, execution, session.number, attempts)
    from jaxevo.execution.ray.cluster import ClusterExecutor

    assignment = Assignment(
        settings=manifest.settings,
        workdir=workdir.path.absolute(),
        session=session.number,
        machine=manifest.machine,
        data_fingerprint=dataset.fingerprint,
    )
    return ClusterExecutor(assignment, execution, dataset.image_shape, attempts, watcher.notice)


def _what_fast_costs(execution: Execution) -> str:
    # What devices workers have, this process does not know.
    device = jax.local_devices()[0] if execution.executor == "local" else None
    if device is not None and device.platform != "gpu":
        return f"fast turns nothing off on {device.device_kind}: only GPUs have operations that are not deterministic"
    return (
        "fast is on: operations are not deterministic and kernels are chosen by timing, so the same seed does not give "
        "the same run again, and 'jaxevo verify --retrain' will find other bits"
    )


def _skipped(birth_id: int, session: int) -> Record:
    outcome = Outcome(birth_id, 0.0, None, None, failure="the user had it skipped")
    return Record(outcome, None, 0.0, 0.0, time.time(), session, attempt=0)


def _stop(session: Session, reason: str, loop: HostLoop, executor: Executor, journal: Journal) -> Progress:
    """Ends the lanes, and notes in the journal how the session ended, even where the user is too impatient to wait."""
    try:
        loop.keep(executor.close())
    finally:
        progress = loop.progress()
        state = progress.state
        journal.append([Stop(session.number, state.events, reason, state.fingerprint, progress.session_seconds)])
    return progress
