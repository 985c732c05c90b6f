"""Start, resume and replay runs: check the work folder, then evolve in a session."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from jaxevo.data import Dataset, absolute_name, load
from jaxevo.data.embedded import EMBEDDED
from jaxevo.doors.opening import Opened, kept_sources, open_new
from jaxevo.doors.trust import open_trusted, trust_of
from jaxevo.environment.fallback import fallback_problem
from jaxevo.environment.folders import cache_problem
from jaxevo.execution.machine import describe_machine
from jaxevo.execution.placement import lane_devices
from jaxevo.search.budgets import first_mutations_over_budget
from jaxevo.search.evolution import evolution
from jaxevo.search.space import Task
from jaxevo.session.limits import limits_changed
from jaxevo.session.loop import SessionClock
from jaxevo.session.progress import FAILED, INTERRUPTED, Watcher
from jaxevo.session.session import Ended, Session
from jaxevo.session.warm_start import copy_initial_weights, read_origin
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.durable import force
from jaxevo.storage.history import History
from jaxevo.storage.journal import JournalContent
from jaxevo.storage.lock import locked
from jaxevo.storage.machine import Machine, differences
from jaxevo.storage.manifest import Manifest, read_manifest, write_manifest, write_sources
from jaxevo.storage.run_data import beside, load_run_data
from jaxevo.storage.stored_run import StoredRun, read_stored_run
from jaxevo.storage.warm_start import initial_individuals
from jaxevo.storage.workdir import Workdir, WorkdirError, check_new, shown

_NO_DATASET = "none"


def start_run(
    path: Path,
    settings: Settings,
    limits: Limits,
    execution: Execution,
    watcher: Watcher,
    *,
    from_run: Path | None = None,
    from_genotype: Path | None = None,
    keep_data: bool = False,
) -> Ended:
    """Starts a run in a new or empty folder and evolves until a limit is reached or a signal arrives.

    Args:
        path: work folder.
        settings: settings of the run.
        limits: limits of the first session.
        execution: execution of the first session.
        watcher: receives the progress, and what was changed or left out of the data.
        from_run: work folder of an earlier run whose living population begins this one, with its weights.
        from_genotype: file with the genotype of every initial individual.
        keep_data: True to copy the data set, an `.npz` file, into the work folder.

    Raises:
        ValueError: if settings, data or folder are not valid; nothing was started then.
    """
    check_new(path)
    check_execution(settings, execution)
    clock = SessionClock()
    workdir = Workdir(path)
    opened = open_new(settings)
    if opened.doors.space.network is None:
        return _start_measuring(workdir, settings, limits, execution, watcher, opened, from_run or from_genotype)
    # A run may be resumed from another folder, so the path of the data set must be absolute.
    settings = dataclasses.replace(settings, dataset=absolute_name(settings.dataset))
    dataset = load(settings.dataset, settings.image_size, watcher.notice)
    place = str(workdir.data.absolute()) if keep_data else settings.dataset
    settings = dataclasses.replace(settings, dataset=place)
    origin = read_origin(from_run, from_genotype, settings, dataset, opened.doors.space, trust_of(execution))
    # Check the budgets before anything is written.
    evolution(settings, opened.doors, dataset.task, initial_individuals(origin.warm_start, opened.doors.space))
    over = [] if origin.warm_start else first_mutations_over_budget(settings, opened.doors, dataset.task)
    machine = _machine(execution)
    with locked(path):
        check_new(path)
        if keep_data:
            dataset = _with_copied_data(dataset, Path(dataset.source), workdir)
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
            warm_start=origin.warm_start,
            dataset_beside=beside(workdir, place),
            label_values=dataset.values,
            pixel_factor=dataset.pixels.factor,
            doors=opened.records,
        )
        write_sources(workdir, opened.files)
        copy_initial_weights(origin.folder, origin.names, workdir, manifest, opened.doors.space)
        write_manifest(workdir, manifest)
        watcher.announce(f"evolving {dataset.name} with seed {settings.seed} in {shown(path)}")
        _say_what_was_read(dataset, watcher)
        _say_what_is_missing(execution, watcher)
        for sentence in over:
            # Large images are why: they leave the run with its linear networks.
            size = "{} x {}".format(*dataset.image_shape)
            watcher.notice(f"{sentence}: raise the budget, or use images smaller than {size} (image_size)")
        return Session(StoredRun(workdir, manifest, opened.doors), dataset, execution, watcher, clock).evolve(limits)


def _start_measuring(
    workdir: Workdir,
    settings: Settings,
    limits: Limits,
    execution: Execution,
    watcher: Watcher,
    opened: Opened,
    source: Path | None,
) -> Ended:
    """Starts a run in whose search space nothing is trained, so that it has no data set."""
    if source is not None:
        raise ValueError(f"the run cannot begin from {source}: nothing is trained in its search space {settings.space}")
    evolution(settings, opened.doors, Task())
    settings = dataclasses.replace(settings, dataset=_NO_DATASET)
    with locked(workdir.path):
        check_new(workdir.path)
        nothing: tuple[float, ...] = ()
        machine = _machine(execution)
        manifest = Manifest(settings, limits, "", (), (), nothing, nothing, 0, machine, doors=opened.records)
        write_sources(workdir, opened.files)
        write_manifest(workdir, manifest)
        return Session(StoredRun(workdir, manifest, opened.doors), None, execution, watcher).evolve(limits)


def resume_run(
    path: Path,
    changes: Limits,
    execution: Execution,
    watcher: Watcher,
    skip: Sequence[int] = (),
    dataset_place: str | None = None,
) -> Ended:
    """Resumes a run after a crash, an interruption or its end.

    Args:
        path: work folder.
        changes: limits to change; the others stay as in the last session.
        execution: execution of this session.
        watcher: receives the progress.
        skip: births in training to count as failed; the seed alone then no longer reproduces the run.
        dataset_place: name or path of the data set if it has moved.

    Raises:
        ValueError: if the folder or the data do not belong to the run, or the devices are not suitable; nothing was
            changed then.
    """
    clock = SessionClock()
    workdir = Workdir(path)
    manifest = read_manifest(workdir)
    doors = open_trusted(manifest.settings, manifest.doors, path, trust_of(execution))
    check_execution(manifest.settings, execution)
    dataset = load_run_data(workdir, manifest, dataset_place, watcher.notice) if manifest.trains else None
    for difference in _before_resuming(manifest, execution):
        watcher.notice(
            f"{difference} when the run began: from here on results may differ in their last bits from those of an "
            "uninterrupted run"
        )
    with locked(path):
        run = read_stored_run(workdir, manifest, doors)
        skip = tuple(dict.fromkeys(skip))
        _check_skipped(skip, run.content)
        if skip:
            watcher.notice(
                f"counting as failed, without training: {', '.join(map(str, skip))}. The run is not reproducible from "
                "its seed alone any longer"
            )
        limits, owed = limits_changed(manifest, run.content, changes), _reason_owed(run, changes, skip)
        if owed is None:
            watcher.announce(f"evolving on from {len(run.content.records):,} trained individuals in {shown(path)}")
        else:
            watcher.announce(
                f"completing the last session in {shown(path)} ({owed}): resume it once more, or with another limit, "
                "to train more individuals"
            )
        _say_what_is_missing(execution, watcher)
        return Session(run, dataset, execution, watcher, clock).evolve(limits, skip, owed)


def replay_run(
    source: Path, path: Path, execution: Execution, watcher: Watcher, dataset_place: str | None = None
) -> Ended:
    """Replays a run: trains all its individuals again in a new folder and tells them in order.

    On the virtual clock the order follows from the seed; a run in wall-clock order is told in the recorded one.
    Individuals that the user skipped are skipped again.

    Raises:
        ValueError: if either folder or the data are not valid; nothing was started then.
    """
    clock = SessionClock()
    check_new(path)
    history = History(Workdir(source), trust=trust_of(execution))
    told = tuple(history.lives)
    if not told:
        raise WorkdirError(f"the run in {source} has no finished individual yet: there is nothing to replay")
    check_execution(history.manifest.settings, execution)
    trains = history.manifest.trains
    dataset = load_run_data(Workdir(source), history.manifest, dataset_place, watcher.notice) if trains else None
    machine = _machine(execution)
    for difference in differences(machine, history.manifest.machine):
        watcher.notice(f"{difference} when the replayed run began: the fingerprints may differ")
    limits = Limits(max_individuals=len(told))
    with locked(path):
        check_new(path)
        workdir = Workdir(path)
        place = "" if dataset is None else dataset.source
        if dataset is not None and Workdir(source).data.exists():
            dataset = _with_copied_data(dataset, Workdir(source).data, workdir)
            place = str(workdir.data.absolute())
        # Given an order, births that differ from the recorded ones, and so come at other times, could not be told.
        order = told if history.manifest.settings.wall_clock else ()
        manifest = dataclasses.replace(
            history.manifest, limits=limits, machine=machine, order=order, dataset_beside=beside(workdir, place)
        )
        space = history.doors.space
        initial = initial_individuals(manifest.warm_start, space)
        names = [one.inherited.weights for one in initial if one.inherited is not None]
        write_sources(workdir, kept_sources(manifest.doors, source))
        copy_initial_weights(Workdir(source).weights, names, workdir, manifest, space)
        write_manifest(workdir, manifest)
        _say_what_is_missing(execution, watcher)
        watcher.announce(f"training {len(told):,} individuals again in {shown(path)}")
        session = Session(StoredRun(workdir, manifest, history.doors), dataset, execution, watcher, clock)
        return session.evolve(limits, history.skipped)


def _with_copied_data(dataset: Dataset, source: Path, workdir: Workdir) -> Dataset:
    """Copies arrays into the work folder, completely before the manifest names them.

    Returns the data set, whose source is the copy: the nodes of a cluster find it there.
    """
    shutil.copyfile(source, workdir.data)
    force(workdir.data)
    return dataclasses.replace(dataset, source=str(workdir.data.absolute()))


def _say_what_was_read(dataset: Dataset, watcher: Watcher) -> None:
    """Tells the user what is trained on, and what was changed or left out."""
    if dataset.source not in EMBEDDED:
        height, width, channels = dataset.image_shape
        numbers = [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)]
        watcher.notice(
            f"{dataset.name}: {numbers[0]:,} training, {numbers[1]:,} validation and {numbers[2]:,} test images of "
            f"{height} x {width} x {channels}, {dataset.num_classes} classes"
        )
    for sentence in dataset.notices:
        watcher.notice(f"{dataset.name}: {sentence}")


def _say_what_is_missing(execution: Execution, watcher: Watcher) -> None:
    """Tells the user if nothing can be cached, or if JAX did not find an accelerator."""
    fallback = fallback_problem() if execution.executor == "local" else None
    for problem in (cache_problem(), fallback):
        if problem is not None:
            watcher.notice(problem)


def _reason_owed(run: StoredRun, changes: Limits, skip: Sequence[int]) -> str | None:
    """Returns why the last session stopped if its finish or result was cut short: they come before other individuals.

    None if it had nothing left to do, or if the user wants more than it did.
    """
    stopped = run.content.stopped
    owed = stopped is not None and stopped.reason not in (INTERRUPTED, FAILED) and not run.workdir.result.exists()
    more = dataclasses.replace(changes, finish_share=None) != Limits() or skip
    return stopped.reason if stopped is not None and owed and not more else None


def _check_skipped(skip: Sequence[int], content: JournalContent) -> None:
    in_training = sorted({attempt.id for attempt in content.attempts} - content.records.keys())
    for birth_id in skip:
        if birth_id not in in_training:
            raise ValueError(
                f"skip_birth is {birth_id}, but must be an individual that was in training when the run stopped: "
                f"{', '.join(map(str, in_training)) or 'there is none'}"
            )


def _machine(execution: Execution) -> Machine:
    """Returns the machine that trains a new run, this one or a worker's; raises `ValueError` without a cluster."""
    if execution.executor == "local":
        return describe_machine(execution)
    from jaxevo.execution.ray.client import describe_cluster

    return describe_cluster(execution)


def _before_resuming(manifest: Manifest, execution: Execution) -> list[str]:
    """Returns the differences of this machine, or connects to the cluster, where each worker is compared on its own."""
    if execution.executor == "local":
        return differences(describe_machine(execution), manifest.machine)
    from jaxevo.execution.ray.client import connect

    connect(execution)
    return []


def check_execution(settings: Settings, execution: Execution) -> None:
    """Raises `ValueError` if this machine cannot execute a run in this way."""
    execution.check_batch_size(settings.batch_size)
    if execution.executor == "local":
        lane_devices(execution)
