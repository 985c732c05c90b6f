"""A session of a run: opens or begins its folder, evolves in it, and closes it."""

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax

from jaxevo.checkpoint import SnapshotStore
from jaxevo.compilation import use_persistent_cache
from jaxevo.data import Dataset, absolute_name, load
from jaxevo.data.cache import cache_dir
from jaxevo.environment import instruction_sets
from jaxevo.evolution import evolution
from jaxevo.execution.local import LocalExecutor
from jaxevo.execution.waiting import BIRTHS_A_LANE, expected_idle_share
from jaxevo.journal import Journal, Session, Stop, read_journal
from jaxevo.loop import HostLoop, Progress, Watcher, task_of
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.workdir import (
    Manifest,
    Workdir,
    WorkdirError,
    check_new,
    locked,
    read_manifest,
    software_versions,
    write_manifest,
)


@dataclass(frozen=True)
class Ended:
    """How a session of a run ended.

    Attributes:
        stop_reason: the limit that was met, or `INTERRUPTED`.
        progress: at the end.
    """

    stop_reason: str
    progress: Progress


def start_run(path: Path, settings: Settings, limits: Limits, execution: Execution, watcher: Watcher) -> Ended:
    """Begins a run in a new or empty folder and evolves until a limit is met or a signal comes.

    Raises:
        ValueError: with a sentence, where settings, data or folder will not do; nothing was started then.
    """
    check_new(path)
    dataset = load(settings.dataset)
    # A run is resumed from any folder: a path must not depend on this one.
    settings = dataclasses.replace(settings, dataset=absolute_name(settings.dataset))
    evolution(settings, task_of(dataset))  # Checks the budgets before anything is written.
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
            machine=describe_machine(),
        )
        write_manifest(workdir, manifest)
        return _evolve(workdir, settings, dataset, limits, execution, watcher)


def resume_run(path: Path, changes: Limits, execution: Execution, watcher: Watcher) -> Ended:
    """Goes on with a run, after a crash, an interruption or its end.

    Args:
        path: the run's folder.
        changes: limits to set anew; the others stay as in the last session.
        execution: on what to go on.
        watcher: whoever watches.

    Raises:
        ValueError: with a sentence, where the folder or the data are not the run's; nothing was changed then.
    """
    workdir = Workdir(path)
    manifest = read_manifest(workdir)
    dataset = load(manifest.settings.dataset)
    if dataset.fingerprint != manifest.data_fingerprint:
        raise WorkdirError(
            f"the data set {manifest.settings.dataset!r} is not the one that the run in {path} was begun with: "
            "bring that one back, or begin a new run. Nothing was changed"
        )
    for name, here in describe_machine().items():
        if manifest.machine.get(name) != here:
            watcher.notice(
                f"{name} is {here!r}, but was {manifest.machine.get(name)!r} when the run began: from here on its "
                "results may differ in their last bits from an undisturbed run"
            )
    with locked(path):
        sessions = read_journal(workdir.journal).sessions
        limits = sessions[-1].limits if sessions else manifest.limits
        given = {name: value for name, value in dataclasses.asdict(changes).items() if value is not None}
        return _evolve(workdir, manifest.settings, dataset, dataclasses.replace(limits, **given), execution, watcher)


def describe_machine() -> dict[str, str]:
    """Returns what may shape a result's last bits, beside settings and data."""
    return {
        **software_versions(),
        "device": jax.local_devices()[0].device_kind,
        "instruction sets": instruction_sets(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "NPROC": os.environ.get("NPROC", ""),
    }


def _evolve(
    workdir: Workdir,
    settings: Settings,
    dataset: Dataset,
    limits: Limits,
    execution: Execution,
    watcher: Watcher,
) -> Ended:
    """Opens all that a session needs, evolves, and closes it."""
    content = read_journal(workdir.journal)
    use_persistent_cache(cache_dir() / "executables")
    snapshots = SnapshotStore(workdir.snapshots)
    with contextlib.closing(snapshots), Journal(workdir.journal) as journal, _signals() as interrupted:
        state = snapshots.load_latest()
        session = Session(len(content.sessions) + 1, time.time(), limits)
        executor = LocalExecutor(settings, dataset, workdir.weights, execution, session.number)
        loop = HostLoop(
            workdir, settings, limits, task_of(dataset), content.records, state, journal, snapshots, executor, watcher
        )
        if settings.workers < BIRTHS_A_LANE * executor.lanes and not settings.wall_clock:
            expected = expected_idle_share(settings.workers, executor.lanes)
            watcher.notice(
                f"num_workers is {settings.workers} for {executor.lanes} lanes: with fewer than {BIRTHS_A_LANE} births "
                f"in flight a lane, lanes wait for the outcome that is due next, here some {expected:.0%} of their "
                "time; the result is the same"
            )
        try:
            journal.append([session])
            reason = loop.until_stopped(interrupted)
        finally:
            loop.keep(executor.close())
        loop.snapshot()
        ended = Ended(reason, loop.progress())
        journal.append([Stop(session.number, ended.progress.state.events, reason, ended.progress.session_seconds)])
        return ended


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Takes the first SIGINT or SIGTERM as a wish to stop cleanly; a second SIGINT ends the process as usual."""
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)

    try:
        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Not the main thread: there the signals stay the caller's.
        yield lambda: False
        return
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
