"""Train and evaluate individuals on the devices of a lane, which hold the data.

The result of a training is a function of the individual, its initial arrays, the data and the settings. It depends
neither on the number of steps per call nor on which trainer of the same kind runs it.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxevo.data import Dataset, Split
from jaxevo.doors.opening import built_in
from jaxevo.networks.batches import PLAN_AXIS, Images, plan_training, put_images
from jaxevo.networks.compilation import Compiler
from jaxevo.networks.devices import Devices
from jaxevo.networks.evaluation import Validation, validate
from jaxevo.networks.programs import Programs
from jaxevo.networks.schedules import learning_rates
from jaxevo.networks.training import (
    Carry,
    EvaluationBatches,
    evaluation_batch_size,
    put_evaluation_batches,
    start,
)
from jaxevo.search.doors import Doors
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.network_space import Variables, networks_of


class Trainer:
    """A trainer: compiles, trains and evaluates individuals on its devices. Several lanes may share it.

    Attributes:
        settings: settings of the run.
        dataset: data set of the run.
        devices: devices that share each batch.
        doors: space and fitness of the run, among others.
        compiler: compiler for these devices.
        images: training images, replicated on every device.
        validation: validation batches on the first device, which evaluates.
        test: test batches on the first device.
    """

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        devices: Devices,
        programs_in_memory: int = Execution.programs_in_memory,
        doors: Doors | None = None,
    ) -> None:
        """Puts the data on the devices; `doors` are the built-in ones by default."""
        self.settings = settings
        self.doors = built_in(settings) if doors is None else doors
        self._networks = networks_of(self.doors.space)
        self.dataset = dataset
        self.devices = devices
        self.compiler = Compiler(settings, dataset, devices, programs_in_memory, self.doors)
        self.images: Images = put_images(dataset, devices.everywhere)
        size = evaluation_batch_size(settings, dataset)
        self.validation: EvaluationBatches = put_evaluation_batches(dataset.validation, size, devices.first)
        self.test: EvaluationBatches = put_evaluation_batches(dataset.test, size, devices.first)

    def programs(self, genotype: Any) -> Programs:
        """Returns the programs of a genotype, compiling them if needed."""
        return self.compiler.programs(self.doors.space.architecture(genotype, self.dataset.task))

    def begin(
        self,
        individual_id: int,
        genotype: Any,
        programs: Programs,
        learning_rate: float,
        parent: tuple[Any, Variables] | None = None,
    ) -> "Training":
        """Returns the training of an individual, before its first step.

        Args:
            individual_id: keys the random initial arrays, batch order and augmentation.
            genotype: genotype to train.
            programs: programs of its architecture.
            learning_rate: of SGD, the peak of the schedule.
            parent: genotype and trained variables to inherit from, None to initialise all arrays at random.
        """
        variables = self._networks.first_variables(
            self.settings.seed,
            individual_id,
            genotype,
            programs.shapes.variables,
            parent,
            self.settings.inheritance,
        )
        rates = learning_rates(self.settings.schedule, learning_rate, self.settings.train_steps)
        return Training(self, programs, individual_id, rates, start(variables, programs.shapes))

    def validated(self, programs: Programs, variables: Any) -> Validation | None:
        """Returns what the fitness needs of the validation images, None if a logit is not finite."""
        classes = self.dataset.num_classes if self.doors.fitness.confusion else 0
        return self._evaluated(programs, variables, self.validation, self.dataset.validation, classes)

    def test_accuracy(self, programs: Programs, variables: Any) -> float | None:
        """Returns the exact test accuracy in [0, 1], None if a logit is not finite."""
        tested = self._evaluated(programs, variables, self.test, self.dataset.test)
        return None if tested is None else tested.accuracy

    def _evaluated(
        self, programs: Programs, variables: Any, batches: EvaluationBatches, split: Split, num_classes: int = 0
    ) -> Validation | None:
        images = self.devices.on_first(self.images)
        return validate(programs.evaluate, variables, images, batches, split, num_classes)


class Training:
    """The training of one individual.

    Attributes:
        step: the next step to run.
        steps_a_call: steps that one call runs; see `Programs`.
    """

    def __init__(
        self, trainer: Trainer, programs: Programs, individual_id: int, rates: np.ndarray, first: Carry
    ) -> None:
        """Puts the initial arrays and the plan on the devices; see `Trainer.begin`."""
        settings, devices = trainer.settings, trainer.devices
        self.step = 0
        self.steps_a_call = programs.steps_a_call
        self._trainer = trainer
        self._programs = programs
        self._structure = jax.tree.structure(first)
        self._carry: Carry = jax.device_put(first, devices.everywhere)
        plan = plan_training(settings.seed, individual_id, settings, trainer.dataset)
        self._plan = devices.put_split(plan, PLAN_AXIS)
        self._rates = rates

    @property
    def done(self) -> bool:
        """True if all planned steps have run."""
        return self.step >= self._trainer.settings.train_steps

    @property
    def finite(self) -> bool:
        """True if every loss so far was finite. Waits for the devices."""
        return bool(self._carry.finite)

    @property
    def variables(self) -> Any:
        """The current arrays, on the first device."""
        return self._trainer.devices.on_first(self._carry.variables)

    def advance(self, steps: int) -> None:
        """Runs up to `steps` more steps, at most those that are left. Does not wait for the devices."""
        end = min(self.step + steps, self._trainer.settings.train_steps)
        self._run(self.step, end)
        self.step = end

    def repeat(self, steps: int) -> None:
        """Runs the first `steps` steps of the plan again and waits for the devices, to measure them."""
        self._run(0, steps)
        jax.block_until_ready(self._carry)

    def checkpoint(self) -> list[np.ndarray]:
        """Returns the state of the training as host arrays, for `restore`."""
        leaves: list[np.ndarray] = jax.device_get(jax.tree.leaves(self._carry))
        return leaves

    def restore(self, step: int, arrays: Sequence[Any]) -> None:
        """Restores the training from a checkpoint.

        Args:
            step: the next step to run.
            arrays: the result of `checkpoint`.
        """
        carry = jax.tree.unflatten(self._structure, arrays)
        self._carry = jax.device_put(carry, self._trainer.devices.everywhere)
        self.step = step

    def _run(self, first: int, end: int) -> None:
        self._carry = self._programs.train(self._carry, self._trainer.images, self._plan, self._rates, first, end)
