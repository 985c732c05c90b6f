"""Finish a run: train its best individual on, on training and validation images.

Evolution needs the validation images to choose, and trains each individual only for a short while. The finish trains
the chosen one longer, without them held out. It is as reproducible as any training, but decides nothing.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxevo.data import Dataset
from jaxevo.doors.trust import NOTHING, Trust
from jaxevo.environment.folders import cache_dir
from jaxevo.execution.placement import lane_devices
from jaxevo.execution.training_loop import CancelledError, DivergedError, check_finite, run_to_end
from jaxevo.networks.compilation import use_persistent_cache
from jaxevo.networks.devices import Devices
from jaxevo.networks.trainer import Trainer, Training
from jaxevo.search.doors import Doors
from jaxevo.session.progress import Watcher
from jaxevo.session.run import check_execution
from jaxevo.settings import Execution, Settings
from jaxevo.signals import wish_to_stop
from jaxevo.spaces.network_space import Variables
from jaxevo.storage.checkpoint import TrainingStore, WeightStore
from jaxevo.storage.finish import Finish, remove_finish, write_finish
from jaxevo.storage.history import History, Life
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.workdir import Workdir, WorkdirError, locked, weights_name

_ATTEMPT = 1
# Chosen on Fashion-MNIST images outside of fashion_mini: experiments/README.md.
_LEARNING_RATE = 0.2
_WEIGHT_DECAY = 5e-4
_LABEL_SMOOTHING = 0.1


class Finished(NamedTuple):
    """A finished training.

    Attributes:
        variables: the trained arrays, NumPy.
        test_accuracy: in [0, 1], None if a logit is not finite.
    """

    variables: Variables
    test_accuracy: float | None


def finish_run(
    path: Path,
    share: float,
    execution: Execution,
    watcher: Watcher,
    dataset_place: str | None = None,
    trust: Trust = NOTHING,
) -> Finish | None:
    """Finishes a run and stores the result; one that is stored already, with this share, is returned.

    Args:
        path: work folder.
        share: FLOPs of the finish over those of all trainings of the run.
        execution: execution of this session.
        watcher: receives the progress.
        dataset_place: name or path of the data set, None for where it was.
        trust: whose code may run.

    Returns:
        The finish, None after a signal; the next call then continues from a checkpoint.

    Raises:
        ValueError: if there is nothing to finish, or folder or data are not valid.
    """
    workdir = Workdir(path)
    history = History(workdir, trust=trust)
    best = history.state.best_trained
    if not history.manifest.trains:
        raise WorkdirError(f"nothing is trained in the search space of the run in {path}: there is nothing to finish")
    if best is None:
        raise WorkdirError(f"the run in {path} has no trained individual yet: there is nothing to finish")
    if history.finish is not None and history.finish.share == share:
        return history.finish
    check_execution(history.manifest.settings, execution)
    dataset = load_run_data(workdir, history.manifest, dataset_place, watcher.notice)
    with locked(path):
        life = history.lives[best.id]
        settings = finish_settings(history.manifest.settings, finish_steps(history, life, share))
        use_persistent_cache(cache_dir() / "executables")
        trainings = TrainingStore(workdir.finish / "training")
        began = time.perf_counter()
        failure, finished = None, None
        with wish_to_stop() as interrupted:
            try:
                finished = train_on(
                    settings,
                    history.doors,
                    dataset,
                    lane_devices(execution)[0],
                    life,
                    WeightStore(workdir.weights, history.doors.space),
                    trainings,
                    execution.checkpoint_seconds,
                    lambda training: _asked(training, settings, watcher, interrupted),
                )
            except CancelledError:
                return None
            except DivergedError as error:
                failure = str(error)
        seconds = time.perf_counter() - began
        return _stored(workdir, history, share, settings, life, finished, failure, seconds)


def finish_steps(history: History, life: Life, share: float) -> int:
    """Returns the steps of a finish whose FLOPs are a share of the run's."""
    return max(1, round(share * history.state.total_flops / _flops_a_step(history.manifest.settings, life)))


def finish_settings(settings: Settings, steps: int) -> Settings:
    """Returns the settings of a finish of a number of steps in a run with these settings."""
    return dataclasses.replace(
        settings,
        train_steps=steps,
        schedule="cosine",
        weight_decay=_WEIGHT_DECAY,
        label_smoothing=_LABEL_SMOOTHING,
    )


def train_on(
    settings: Settings,
    doors: Doors,
    dataset: Dataset,
    devices: Devices,
    life: Life,
    store: WeightStore,
    trainings: TrainingStore,
    checkpoint_seconds: float,
    cancelled: Callable[[Training], bool],
) -> Finished:
    """Trains an individual on, from its evolved weights or from a checkpoint.

    Args:
        settings: see `finish_settings`.
        doors: of the run.
        dataset: of the run.
        devices: to train on.
        life: the individual.
        store: store of the run's evolved weights.
        trainings: store of checkpoints.
        checkpoint_seconds: seconds between two checkpoints.
        cancelled: called about once a second with the training; returns True to stop it.

    Raises:
        CancelledError: after a checkpoint, soon after `cancelled` is True.
        DivergedError: if a loss or a weight is not finite.
    """
    individual = life.individual
    evolved = store.load(individual.weights or "", individual.weights_sha256 or "", individual.genotype)
    trainer = Trainer(settings, dataset.with_validation_in_training(), devices, doors=doors)
    programs = trainer.programs(individual.genotype)
    parent = individual.genotype, evolved
    training = trainer.begin(individual.id, individual.genotype, programs, _LEARNING_RATE, parent)
    checkpoint = trainings.load(individual.id)
    if checkpoint is not None:
        training.restore(*checkpoint)

    def save() -> None:
        trainings.save(individual.id, _ATTEMPT, training.step, training.checkpoint())

    try:
        run_to_end(training, lambda: cancelled(training), save, checkpoint_seconds)
    except CancelledError:
        save()
        raise
    variables: Any = jax.device_get(training.variables)
    check_finite(variables)
    return Finished(variables, trainer.test_accuracy(programs, training.variables))


def _stored(
    workdir: Workdir,
    history: History,
    share: float,
    settings: Settings,
    life: Life,
    finished: Finished | None,
    failure: str | None,
    seconds: float,
) -> Finish:
    """Writes a finish into the work folder and returns it."""
    remove_finish(workdir)
    name = sha256 = None
    if finished is not None:
        name = weights_name(life.individual.id, _ATTEMPT)
        store = WeightStore(workdir.finish / "weights", history.doors.space)
        sha256 = store.save(name, life.individual.genotype, finished.variables)
    workdir.finish.mkdir(exist_ok=True)
    finish = Finish(
        individual_id=life.individual.id,
        fingerprint=history.state.fingerprint,
        share=share,
        learning_rate=_LEARNING_RATE,
        steps=settings.train_steps,
        flops=settings.train_steps * _flops_a_step(settings, life),
        seconds=seconds,
        weights=name,
        weights_sha256=sha256,
        test_accuracy=None if finished is None else finished.test_accuracy,
        failure=failure,
    )
    write_finish(workdir, finish)
    return finish


def _flops_a_step(settings: Settings, life: Life) -> int:
    cost = life.birth.cost
    return (cost.forward_flops + cost.backward_flops) * settings.batch_size


def _asked(training: Training, settings: Settings, watcher: Watcher, interrupted: Callable[[], bool]) -> bool:
    watcher.finishing(training.step, settings.train_steps)
    return interrupted()
