"""Finish a run: train its best individual, or each of the ensemble, on, on training and validation images.

Evolution needs the validation images to choose, and trains each individual only for a short while. The finish trains
the chosen one longer, without them held out. It is as reproducible as any training, but decides nothing.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxevo.data import Dataset
from jaxevo.doors.trust import NOTHING, Trust
from jaxevo.environment.folders import cache_dir
from jaxevo.execution.finishing import FinishExecutor
from jaxevo.execution.machine import machine_of_session
from jaxevo.execution.worker import Assignment
from jaxevo.networks.compilation import use_persistent_cache
from jaxevo.search.births import Birth, Inherited, individual_flops
from jaxevo.search.population import Individual, ensemble_members
from jaxevo.session.progress import Watcher
from jaxevo.session.run import check_execution
from jaxevo.settings import Execution, Settings
from jaxevo.signals import wish_to_stop
from jaxevo.storage.checkpoint import TrainingStore, WeightStore
from jaxevo.storage.finish import Finish, FinishAttempts, begin_finish, unfinished, write_finish
from jaxevo.storage.history import History, Life
from jaxevo.storage.journal import Record
from jaxevo.storage.lock import locked
from jaxevo.storage.machine import Machine, differences
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.workdir import Workdir, WorkdirError

if TYPE_CHECKING:
    from jaxevo.execution.ray.cluster import ClusterExecutor

_POLL_SECONDS = 0.25
# Chosen on Fashion-MNIST images outside of fashion_mini: docs/results.md.
_LEARNING_RATE = 0.2
_WEIGHT_DECAY = 5e-4
_LABEL_SMOOTHING = 0.1


class FinishInterrupted(Exception):  # noqa: N818
    """A signal stopped a finish, which has a checkpoint."""


def finish_run(
    path: Path,
    share: float,
    execution: Execution,
    watcher: Watcher,
    dataset_place: str | None = None,
    trust: Trust = NOTHING,
    ensemble_size: int = 1,
    longer_stays: bool = False,
) -> Finish:
    """Finishes a run, stores the result and returns that of the best individual; what is stored already stays.

    If it fails where an earlier finish did not, that one stays and is returned, with the share that failed.

    Args:
        path: work folder.
        share: FLOPs of a finish over those of all trainings of the run.
        execution: execution of this session; with `executor="ray"` a worker trains.
        watcher: receives the progress.
        dataset_place: name or path of the data set, None for where it was.
        trust: whose code may run.
        ensemble_size: individuals to finish, the fittest; the best comes first, and all take the same FLOPs.
        longer_stays: True to keep a finish of a larger share instead, or one after which such a finish failed.

    Raises:
        ValueError: if there is nothing to finish, or folder or data are not valid.
        FinishInterrupted: after a signal; the next call continues from a checkpoint.
        RuntimeError: if the training could not be carried out.
    """
    workdir = Workdir(path)
    # The run is read under the lock, so that no other process has it go on meanwhile.
    with locked(path, "resume" if longer_stays else "finish"):
        history = History(workdir, trust=trust)
        members = _members(history, path, ensemble_size)
        finished = {
            finish.individual_id
            for finish in history.finishes.values()
            if finish.share == share or (longer_stays and finish.tried_share >= share)
        }
        left = [member for member in members if member.id not in finished]
        for stored in (history.finishes[member.id] for member in members if member.id in finished):
            if stored.failed(share):
                watcher.notice(_failure(stored, stored.failure or "as it did before"))
        if not left:
            return history.finishes[members[0].id]
        check_execution(history.manifest.settings, execution)
        dataset = load_run_data(workdir, history.manifest, dataset_place, watcher.notice)
        machine = machine_of_session(execution, history.manifest.machine)
        for difference in differences(machine, history.manifest.machine):
            watcher.notice(f"{difference} when the run began: there, finished weights may have other last bits")
        with wish_to_stop() as interrupted:
            for member in left:
                if len(members) > 1:
                    place = members.index(member) + 1
                    watcher.notice(f"Finishing individual {member.id}, {place} of {len(members)}")
                life = history.lives[member.id]
                settings = finish_settings(history.manifest.settings, finish_steps(history, life, share))
                executor = _executor(workdir, history, settings, dataset, execution, machine, watcher)
                record = _trained(executor, finish_birth(life), settings.train_steps, watcher, interrupted)
                if record is None:
                    raise FinishInterrupted
                stored = _store(workdir, history, share, settings, life, record, machine)
                if record.test_accuracy is None:
                    watcher.notice(_failure(stored, record.outcome.failure or "a test logit is not a finite number"))
                # A signal since the training ended, too.
                if interrupted():
                    raise FinishInterrupted
    return history.finishes[members[0].id]


def _members(history: History, path: Path, ensemble_size: int) -> Sequence[Individual]:
    """Returns the individuals to finish, the best first; raises `WorkdirError` if there is nothing to finish."""
    best = history.state.best_trained
    if not history.manifest.trains:
        raise WorkdirError(f"nothing is trained in the search space of the run in {path}: there is nothing to finish")
    if best is None:
        raise WorkdirError(f"the run in {path} has no trained individual yet: there is nothing to finish")
    if not best.cost.training_flops:
        raise WorkdirError(
            f"the search space of the run in {path} counts no FLOPs, from which the length of a finish follows: "
            "have its `cost` return them"
        )
    return ensemble_members(history.state.population, best, ensemble_size)


def _failure(stored: Finish, why: str) -> str:
    """Returns a sentence about a finish that failed, and about the one that is stored now."""
    if stored.failed_share is not None:
        stays = f"that of share {stored.share:g} stays"
    else:
        stays = "its evolved weights stay" if stored.failure is not None else "its weights have no test accuracy"
    return f"the finish of individual {stored.individual_id} failed ({why}): {stays}"


def finish_steps(history: History, life: Life, share: float) -> int:
    """Returns the steps of a finish whose FLOPs are a share of the run's."""
    step = individual_flops(life.birth.cost, 1, history.manifest.settings.batch_size, 0)
    return max(1, round(share * history.state.total_flops / step))


def finish_settings(settings: Settings, steps: int) -> Settings:
    """Returns the settings of a finish of a number of steps in a run with these settings."""
    return dataclasses.replace(
        settings,
        train_steps=steps,
        schedule="cosine",
        weight_decay=_WEIGHT_DECAY,
        label_smoothing=_LABEL_SMOOTHING,
    )


def finish_birth(life: Life) -> Birth:
    """Returns a birth that trains an individual on: it inherits its own weights, and nothing stops it early."""
    individual = life.individual
    return dataclasses.replace(
        life.birth,
        inherited=Inherited(individual.genotype, individual.weights or "", individual.weights_sha256 or ""),
        thresholds=(),
    )


def _executor(
    workdir: Workdir,
    history: History,
    settings: Settings,
    dataset: Dataset,
    execution: Execution,
    machine: Machine,
    watcher: Watcher,
) -> "FinishExecutor | ClusterExecutor":
    """Returns the executor of a finish: a lane of this machine, or one worker of a cluster."""
    # First of all, because connecting keeps JAX off the accelerators here, and Orbax may start JAX.
    if execution.executor == "ray":
        from jaxevo.execution.ray.client import connect

        connect(execution)
    folder = unfinished(workdir, settings.train_steps)
    for difference in begin_finish(folder, machine):
        watcher.notice(f"{difference} when this finish was begun: it begins again, for the bits of one machine")
    attempts = FinishAttempts(folder, execution.max_deaths, TrainingStore(folder.training).last_step)
    if execution.executor == "local":
        use_persistent_cache(cache_dir() / "executables")
        return FinishExecutor(settings, history.doors, dataset, workdir, execution, attempts, _LEARNING_RATE)
    from jaxevo.execution.ray.cluster import ClusterExecutor

    assignment = Assignment(
        settings=settings,
        workdir=workdir.path.absolute(),
        session=0,
        task=history.manifest.task,
        doors=history.manifest.doors,
        machine=history.manifest.machine,
        data_fingerprint=dataset.fingerprint,
        dataset_place=dataset.source,
        finish_learning_rate=_LEARNING_RATE,
    )
    one = dataclasses.replace(execution, ray_workers=1)
    return ClusterExecutor(assignment, history.doors.space, one, attempts, watcher.notice)


def _trained(
    executor: "FinishExecutor | ClusterExecutor",
    birth: Birth,
    steps: int,
    watcher: Watcher,
    interrupted: Callable[[], bool],
) -> Record | None:
    """Has an individual trained on and returns its record, None after a signal; a checkpoint is saved then."""
    records: list[Record] = []
    shown = None
    try:
        executor.submit([birth])
        while not records and not interrupted():
            records = executor.finished(_POLL_SECONDS)
            if executor.step is not None and executor.step != shown:
                shown = executor.step
                watcher.finishing(shown, steps)
    finally:
        # The training may have ended while the executor closed.
        records += executor.close()
    return next(iter(records), None)


def _store(
    workdir: Workdir, history: History, share: float, settings: Settings, life: Life, record: Record, machine: Machine
) -> Finish:
    """Checks the finished weights, writes the finish into the work folder, and returns the one that is there now."""
    outcome = record.outcome
    if outcome.weights is not None and outcome.weights_sha256 is not None:
        store = WeightStore(unfinished(workdir, settings.train_steps).weights, history.doors.space)
        store.load(outcome.weights, outcome.weights_sha256, life.individual.genotype)
    finish = Finish(
        individual_id=life.individual.id,
        fingerprint=history.state.fingerprint,
        share=share,
        learning_rate=_LEARNING_RATE,
        steps=settings.train_steps,
        flops=individual_flops(life.birth.cost, settings.train_steps, settings.batch_size, 0),
        seconds=record.compile_seconds + record.train_seconds,
        machine=machine,
        weights=outcome.weights,
        weights_sha256=outcome.weights_sha256,
        test_accuracy=record.test_accuracy,
        failure=outcome.failure,
    )
    # It would not be that of the run any longer, if a crash kept the next one from being written.
    workdir.result.unlink(missing_ok=True)
    return write_finish(workdir, finish)
