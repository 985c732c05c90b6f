"""Runs are started, resumed and replayed here: a folder is checked, and a session evolves in it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxevo.data import Dataset, absolute_name, load
from jaxevo.execution.machine import describe_machine
from jaxevo.execution.placement import lane_devices
from jaxevo.search.evolution import evolution
from jaxevo.search.space import Task
from jaxevo.session.progress import Watcher
from jaxevo.session.session import Ended, Session
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.spaces import space_from
from jaxevo.storage.history import History
from jaxevo.storage.journal import JournalContent
from jaxevo.storage.machine import Machine, differences
from jaxevo.storage.stored_run import StoredRun, read_stored_run
from jaxevo.storage.workdir import (
    Manifest,
    Workdir,
    WorkdirError,
    check_new,
    locked,
    read_manifest,
    write_manifest,
)


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
    evolution(settings, space_from(settings), _task_of(dataset))  # Checks the budgets before anything is written.
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
        return Session(StoredRun(workdir, manifest), dataset, execution, watcher).evolve(limits)


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
        run = read_stored_run(workdir, manifest)
        _check_skipped(skip, run.content)
        if skip:
            watcher.notice(
                f"counting as failed, without training: {', '.join(map(str, skip))}. The run is not reproducible from "
                "its seed alone any more"
            )
        limits = _limits_changed(run, changes)
        return Session(run, dataset, execution, watcher).evolve(limits, skip)


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
        session = Session(StoredRun(workdir, manifest), dataset, execution, watcher)
        return session.evolve(limits, history.skipped)


def _limits_changed(run: StoredRun, changes: Limits) -> Limits:
    """Returns the limits of the last session with those that are given in their place.

    The limit that ended it gives way to another that is given: else the run could not be gone on with up to that one.
    """
    content = run.content
    limits = content.sessions[-1].limits if content.sessions else run.manifest.limits
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


def _machine(execution: Execution) -> Machine:
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
