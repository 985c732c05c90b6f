"""Checks of a training: made after exactly their steps, on validation images, whatever interrupts the training."""

import dataclasses

import numpy as np
import pytest
from helpers.births import SPACE, birth_of
from helpers.numpy_network import forward

from jaxevo.data import load
from jaxevo.execution.lane import Lane
from jaxevo.execution.placement import lane_devices
from jaxevo.execution.training_loop import CancelledError, Checks, DivergedError, run_to_end
from jaxevo.networks.evaluation import Validation
from jaxevo.networks.trainer import Trainer
from jaxevo.search.births import Threshold
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.storage.checkpoint import WeightStore
from jaxevo.storage.workdir import Workdir

SETTINGS = Settings(train_steps=20, batch_size=50, evaluation_batch_size=100)
PLAIN = Genotype(0.1)
NEVER = Threshold(5, 0.0), Threshold(10, 0.0)
AT_THE_FIRST = Threshold(5, 1.1), Threshold(10, 0.0)
AT_THE_SECOND = Threshold(5, 0.0), Threshold(10, 1.1)


class Steps:
    """A training without a network."""

    finite = True

    def __init__(self, steps_a_call, step=0):
        self.steps_a_call, self.step = steps_a_call, step

    @property
    def done(self):
        return self.step >= 20

    def advance(self, steps):
        assert steps > 0
        self.step = min(self.step + steps, 20)


def never():
    return False


def nothing():
    pass


@pytest.mark.parametrize("steps_a_call", [1, 2, 7, 10, 1000])
@pytest.mark.parametrize(("thresholds", "end"), [(NEVER, 20), (AT_THE_FIRST, 5), (AT_THE_SECOND, 10)])
def test_checks_are_made_after_exactly_their_steps(steps_a_call, thresholds, end):
    training, seen = Steps(steps_a_call), []
    checks = Checks(thresholds, lambda: seen.append(training.step) or Validation(training.step / 100))
    run_to_end(training, never, nothing, 1e9, checks)
    assert training.step == end
    assert seen == [step for step in (5, 10) if step <= end]
    assert checks.accuracies == tuple(step / 100 for step in seen)
    assert checks.stopped_at == (end if end < 20 else None)
    assert checks.last == (Validation(end / 100) if end < 20 else None)


def test_a_logit_at_a_check_that_is_not_finite_fails_the_training():
    with pytest.raises(DivergedError, match="a logit is not a finite number"):
        run_to_end(Steps(7), never, nothing, 1e9, Checks(NEVER, lambda: None))


@pytest.fixture(scope="module")
def trainer():
    return Trainer(SETTINGS, load("digits"), lane_devices(Execution(1))[0])


def train(trainer, path, birth, cancelled=never):
    return Lane(trainer, Workdir(path), 1e-9).train(birth, 1, 1, cancelled).outcome


@pytest.fixture(scope="module")
def whole(trainer, tmp_path_factory):
    """The outcome of a training that is checked and not stopped."""
    return train(trainer, tmp_path_factory.mktemp("whole"), birth_of(5, PLAIN, thresholds=NEVER))


def test_checks_change_nothing_else(trainer, tmp_path, whole):
    unchecked = train(trainer, tmp_path, birth_of(5, PLAIN))
    assert len(whole.checks) == 2
    assert (unchecked.checks, unchecked.stopped_at, whole.stopped_at) == ((), None, None)
    assert dataclasses.replace(whole, checks=()) == unchecked


@pytest.mark.parametrize("thresholds", [AT_THE_FIRST, AT_THE_SECOND])
def test_a_stopped_individual_has_the_weights_and_the_fitness_of_the_stop(trainer, tmp_path, whole, thresholds):
    outcome = train(trainer, tmp_path, birth_of(5, PLAIN, thresholds=thresholds))
    made = thresholds.index(max(thresholds, key=lambda threshold: threshold.accuracy)) + 1
    assert outcome.stopped_at == thresholds[made - 1].step
    assert outcome.checks == whole.checks[:made]
    assert outcome.accuracy == outcome.checks[-1]
    digits = trainer.dataset
    variables = WeightStore(tmp_path / "weights", SPACE).load(outcome.weights, outcome.weights_sha256, PLAIN)
    images = (digits.validation.images / 255 - digits.mean) / digits.std
    predictions = forward(PLAIN, variables, images).logits.argmax(axis=1)
    assert outcome.accuracy == np.mean(predictions == digits.validation.labels)


@pytest.mark.parametrize(("thresholds", "calls"), [(NEVER, 1), (NEVER, 2), (AT_THE_SECOND, 1)])
def test_a_training_goes_on_from_a_checkpoint_between_checks(trainer, tmp_path, thresholds, calls):
    birth = birth_of(5, PLAIN, thresholds=thresholds)
    answers = iter([*[False] * calls, True])
    path = tmp_path / "interrupted"
    with pytest.raises(CancelledError):
        train(trainer, path, birth, lambda: next(answers))
    [saved] = (path / "training").iterdir()
    assert saved.name == f"000005-1-{5 * calls}"
    assert train(trainer, path, birth) == train(trainer, tmp_path / "undisturbed", birth)


def test_a_failed_training_has_no_checks(trainer, tmp_path):
    outcome = train(trainer, tmp_path, birth_of(1, Genotype(3e38), thresholds=AT_THE_SECOND))
    assert outcome.failure is not None
    assert (outcome.accuracy, outcome.checks, outcome.stopped_at) == (0.0, (), None)
