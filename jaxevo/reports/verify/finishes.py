"""Verify the finishes of a run: their place, their weights and, on demand, their training."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from jaxevo.data import Dataset
from jaxevo.execution.finishing import FinishLane
from jaxevo.execution.machine import describe_machine
from jaxevo.execution.placement import lane_devices
from jaxevo.networks.trainer import Trainer
from jaxevo.search.population import ensemble_members
from jaxevo.session.finish import finish_birth, finish_settings, finish_steps
from jaxevo.settings import Execution
from jaxevo.storage.checkpoint import WeightStore
from jaxevo.storage.finish import Finish
from jaxevo.storage.history import History
from jaxevo.storage.machine import differences
from jaxevo.storage.workdir import Workdir


def check_finishes(history: History, workdir: Workdir) -> list[str]:
    """Returns a sentence for each difference between the finishes and their run; trains nothing."""
    return [finding for finish in history.finishes.values() for finding in _differences(history, workdir, finish)]


def _differences(history: History, workdir: Workdir, finish: Finish) -> list[str]:
    members = ensemble_members(history.state.population, history.best, len(history.lives))
    if finish.individual_id not in [member.id for member in members]:
        return [f"finish: it is of individual {finish.individual_id}, of which the run has no weights"]
    life = history.lives[finish.individual_id]
    if finish.steps != (steps := finish_steps(history, life, finish.share)):
        return [f"finish: it has {finish.steps} steps, but its share {finish.share:g} gives {steps}"]
    if finish.weights is None or finish.weights_sha256 is None:
        return []
    store = WeightStore(workdir.finish / "weights", history.space)
    return store.damage(finish.weights, finish.weights_sha256, life.individual.genotype)


def retrain_finishes(
    history: History,
    workdir: Workdir,
    dataset: Dataset,
    execution: Execution,
    tolerance: float,
    report: Callable[[str], None],
) -> list[str]:
    """Trains the finished individuals on again from their evolved weights; returns a sentence for each difference.

    Those in which `check_finishes` finds a difference are left out.

    Args:
        history: of the run.
        workdir: its work folder.
        dataset: its data set.
        execution: execution of the training.
        tolerance: of the test accuracy of a finish from another machine; otherwise bits are compared.
        report: called with a sentence about each check.
    """
    return [
        finding
        for finish in history.finishes.values()
        if not _differences(history, workdir, finish)
        for finding in _retrained(history, workdir, finish, dataset, execution, tolerance, report)
    ]


def _retrained(
    history: History,
    workdir: Workdir,
    finish: Finish,
    dataset: Dataset,
    execution: Execution,
    tolerance: float,
    report: Callable[[str], None],
) -> list[str]:
    others = differences(describe_machine(execution), finish.machine)
    for difference in others:
        report(f"{difference} when individual {finish.individual_id} was finished: its test accuracy is compared")
    life = history.lives[finish.individual_id]
    settings = finish_settings(history.manifest.settings, finish.steps)
    together, devices = dataset.with_validation_in_training(), lane_devices(execution)[0]
    trainer = Trainer(settings, together, devices, doors=history.doors)
    with tempfile.TemporaryDirectory(prefix="jaxevo-verify-") as folder:
        own = Workdir(Path(folder))
        lane = FinishLane(trainer, workdir, own, execution.checkpoint_seconds, finish.learning_rate)
        again = lane.train(finish_birth(life), attempt=1, session=0, cancelled=lambda: False)
    if again.outcome.failure is not None:
        return [] if finish.failure else [f"finish: trained again, it failed ({again.outcome.failure})"]
    if not others:
        equal = (again.outcome.weights_sha256, again.test_accuracy) == (finish.weights_sha256, finish.test_accuracy)
    elif finish.test_accuracy is None or again.test_accuracy is None:
        equal = finish.test_accuracy == again.test_accuracy
    else:
        equal = abs(again.test_accuracy - finish.test_accuracy) <= tolerance
    if not equal:
        same = again.outcome.weights_sha256 == finish.weights_sha256
        weights = "the same weights" if same else "other weights"
        return [
            f"finish: trained again, it has {weights} and test accuracy {again.test_accuracy}, but "
            f"{finish.test_accuracy} is recorded"
        ]
    how = "within the tolerance" if others else "bit for bit"
    report(f"finish of individual {finish.individual_id}, {finish.steps} steps: equal, {how}")
    return []
