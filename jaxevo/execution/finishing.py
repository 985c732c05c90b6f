"""Train one individual on: the lane and the executor of a finish.

A finish begins with evolved weights and lasts long. So a lane that drops it saves a checkpoint first, and all that it
writes lies in a folder of its own, away from the weights of the run.
"""

import dataclasses
from collections.abc import Callable

import jax

from jaxevo.data import Dataset
from jaxevo.execution.lane import Lane
from jaxevo.execution.local import LaneError, LocalExecutor
from jaxevo.execution.training_loop import CancelledError, check_finite, run_to_end
from jaxevo.networks.programs import Programs
from jaxevo.networks.trainer import Trainer
from jaxevo.search.births import Birth, Outcome
from jaxevo.search.doors import Doors
from jaxevo.settings import Execution, Settings
from jaxevo.storage.attempts import AttemptKeeper
from jaxevo.storage.checkpoint import CheckpointError, WeightStore
from jaxevo.storage.finish import unfinished
from jaxevo.storage.workdir import Workdir, weights_name


class FinishLane(Lane):
    """A lane that trains an individual on, from its evolved weights or from a checkpoint.

    Attributes:
        step: number of steps done, None before the training begins.
    """

    def __init__(
        self, trainer: Trainer, evolved: Workdir, own: Workdir, checkpoint_seconds: float, learning_rate: float
    ) -> None:
        """Makes a lane.

        Args:
            trainer: of the finish's settings, with the validation images among the training images.
            evolved: folder with the evolved weights.
            own: folder for finished weights and training checkpoints.
            checkpoint_seconds: seconds between two checkpoints.
            learning_rate: of SGD, the peak of the schedule.
        """
        super().__init__(trainer, own, checkpoint_seconds)
        self._evolved = WeightStore(evolved.weights, trainer.doors.space)
        self._learning_rate = learning_rate
        self.step: int | None = None

    def _outcome(
        self, programs: Programs, birth: Birth, attempt: int, cancelled: Callable[[], bool]
    ) -> tuple[Outcome, float | None]:
        """Returns the outcome, whose fitness is 0 because no image is left to validate with, and the test accuracy."""
        inherited = birth.inherited
        if inherited is None:
            raise CheckpointError(f"individual {birth.id} has no weights to train on from")
        weights = self._evolved.load(inherited.weights, inherited.weights_sha256, inherited.genotype)
        parent = inherited.genotype, weights
        training = self.trainer.begin(birth.id, birth.genotype, programs, self._learning_rate, parent)
        checkpoint = self._trainings.load(birth.id)
        if checkpoint is not None:
            training.restore(*checkpoint)

        def save() -> None:
            if training.step > self._trainings.last_step(birth.id):
                self._trainings.save(birth.id, attempt, training.step, training.checkpoint())

        def asked() -> bool:
            self.step = training.step
            return cancelled()

        try:
            run_to_end(training, asked, save, self._checkpoint_seconds)
        except CancelledError:
            save()
            raise
        variables = jax.device_get(training.variables)
        check_finite(variables)
        test_accuracy = self.trainer.test_accuracy(programs, training.variables)
        name = weights_name(birth.id, attempt)
        return Outcome(birth.id, 0.0, name, self._store.save(name, birth.genotype, variables)), test_accuracy


class FinishExecutor(LocalExecutor):
    """An executor of a single lane, which trains one individual on."""

    def __init__(
        self,
        settings: Settings,
        doors: Doors,
        dataset: Dataset,
        workdir: Workdir,
        execution: Execution,
        attempts: AttemptKeeper,
        learning_rate: float,
    ) -> None:
        """Puts the data on the devices of the first lane and starts it.

        Args:
            settings: settings of the finish.
            doors: doors of the run.
            dataset: data set of the run.
            workdir: work folder of the run.
            execution: devices per lane, and seconds between checkpoints.
            attempts: numbers the attempts.
            learning_rate: of SGD, the peak of the schedule.
        """
        self._finishing: list[FinishLane] = []
        self._learning_rate = learning_rate
        one = dataclasses.replace(execution, lanes=1, lanes_per_device=None)
        super().__init__(settings, doors, dataset.with_validation_in_training(), workdir, one, 0, attempts)

    @property
    def step(self) -> int | None:
        """Number of steps done, None before the training begins."""
        return self._finishing[0].step

    def _explained(self, error: Exception, birth: Birth) -> LaneError:
        """Returns an error that says what to do if memory ran out."""
        advice = "see the cause"
        if "RESOURCE_EXHAUSTED" in str(error):
            advice = "finish with a smaller share, or where a device has more free memory"
        reason = f"{type(error).__name__}: {error}"
        return LaneError(f"the finish of individual {birth.id} failed ({reason}): {advice}. The run is complete")

    def _lane(self, trainer: Trainer, workdir: Workdir, checkpoint_seconds: float) -> Lane:
        own = unfinished(workdir, trainer.settings.train_steps)
        lane = FinishLane(trainer, workdir, own, checkpoint_seconds, self._learning_rate)
        self._finishing.append(lane)
        return lane
