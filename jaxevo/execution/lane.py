"""Train one individual at a time on the devices of a lane.

The outcome is a function of the birth, its parent's weights, the data and the settings. It does not depend on the lane,
the time, or earlier attempts.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxevo.execution.training_loop import Checks, DivergedError, check_finite, run_to_end
from jaxevo.networks.programs import Programs
from jaxevo.networks.trainer import Trainer
from jaxevo.search.births import Birth, Outcome
from jaxevo.spaces.network_space import Variables
from jaxevo.storage.checkpoint import TrainingStore, WeightStore
from jaxevo.storage.journal import Record
from jaxevo.storage.workdir import Workdir, weights_name


class Lane:
    """A lane: trains, validates, tests and saves one individual at a time."""

    def __init__(self, trainer: Trainer, workdir: Workdir, checkpoint_seconds: float) -> None:
        """Makes a lane.

        Args:
            trainer: trainer, which other lanes may share.
            workdir: work folder for weights and training checkpoints.
            checkpoint_seconds: seconds between two checkpoints of a training.
        """
        self.trainer = trainer
        self._store = WeightStore(workdir.weights, trainer.doors.space)
        self._trainings = TrainingStore(workdir.training)
        self._checkpoint_seconds = checkpoint_seconds

    def train(self, birth: Birth, attempt: int, session: int, cancelled: Callable[[], bool]) -> Record:
        """Trains an individual, commits its weights, and returns its record.

        Args:
            birth: birth to train.
            attempt: number of this attempt, which names the folder of the weights.
            session: number of the session.
            cancelled: returns True if the training must be dropped.

        Raises:
            CancelledError: soon after `cancelled()` is True.
            CheckpointError: if the parent's weights are missing or altered.
        """
        programs = self.trainer.compiler.programs(birth.architecture)
        compile_seconds = self.trainer.compiler.bill(birth.architecture)
        began = time.perf_counter()
        try:
            outcome, test_accuracy = self._outcome(programs, birth, attempt, cancelled)
        except DivergedError as error:
            outcome, test_accuracy = Outcome(birth.id, 0.0, None, None, failure=str(error)), None
        train_seconds = time.perf_counter() - began
        return Record(outcome, test_accuracy, compile_seconds, train_seconds, time.time(), session, attempt)

    def _outcome(
        self, programs: Programs, birth: Birth, attempt: int, cancelled: Callable[[], bool]
    ) -> tuple[Outcome, float | None]:
        """Returns the outcome and the test accuracy, which only the record gets: selection never sees it."""
        variables, checks = self._train(programs, birth, attempt, cancelled)
        trained = jax.device_get(variables)
        check_finite(trained)
        validation = self.trainer.validated(programs, variables) if checks.stopped_at is None else checks.last
        if validation is None:
            raise DivergedError("a logit is not a finite number")
        # Test images must not affect the outcome: if their logits are not finite, the record has no test accuracy.
        test_accuracy = self.trainer.test_accuracy(programs, variables)
        name = weights_name(birth.id, attempt)
        sha256 = self._store.save(name, birth.genotype, trained)
        outcome = Outcome(
            birth.id,
            validation.accuracy,
            name,
            sha256,
            checks=checks.accuracies,
            stopped_at=checks.stopped_at,
            confusion=validation.confusion,
            loss=validation.loss,
        )
        return outcome, test_accuracy

    def _train(
        self, programs: Programs, birth: Birth, attempt: int, cancelled: Callable[[], bool]
    ) -> tuple[Any, Checks]:
        """Returns the trained variables on the first device, and the checks that were made.

        Raises:
            DivergedError: if a loss, or a logit at a check, is not finite.
        """
        rate = birth.training.learning_rate
        training = self.trainer.begin(birth.id, birth.genotype, programs, rate, self._parent(birth))
        checks = Checks(birth.thresholds, lambda: self.trainer.validated(programs, training.variables))
        checkpoint = self._trainings.load(birth.id)
        if checkpoint is not None:
            step, arrays = checkpoint
            end = len(arrays) - checks.made_by(step)
            training.restore(step, arrays[:end])
            checks.accuracies = tuple(map(float, arrays[end:]))

        def save() -> None:
            arrays = [*training.checkpoint(), *map(np.asarray, checks.accuracies)]
            self._trainings.save(birth.id, attempt, training.step, arrays)

        run_to_end(training, cancelled, save, self._checkpoint_seconds, checks)
        return training.variables, checks

    def _parent(self, birth: Birth) -> tuple[Any, Variables] | None:
        """Returns the genotype and weights that a birth inherits from, None if it inherits nothing."""
        inherited = birth.inherited
        if inherited is None:
            return None
        weights = self._store.load(inherited.weights, inherited.weights_sha256, inherited.genotype)
        return inherited.genotype, weights
