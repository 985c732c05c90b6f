"""A lane trains one individual at a time on its devices.

What comes out is a function of the birth, its parent's weights, the data and the settings: which lane trains it, when,
and how often it was tried before change nothing.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxevo.data import Dataset, Split
from jaxevo.networks.compilation import Compiler, Programs
from jaxevo.networks.devices import Devices
from jaxevo.networks.evaluation import accuracy
from jaxevo.networks.training import (
    PLAN_AXIS,
    Carry,
    EvaluationBatches,
    Images,
    evaluation_batch_size,
    plan_training,
    put_evaluation_batches,
    put_images,
    start,
)
from jaxevo.search.births import Birth, Outcome
from jaxevo.settings import Execution, Settings
from jaxevo.spaces import space_from
from jaxevo.spaces.large_scale.inheritance import first_variables
from jaxevo.storage.checkpoint import TrainingStore, WeightStore
from jaxevo.storage.journal import Record
from jaxevo.storage.workdir import Workdir, weights_name

_SECONDS_WITHOUT_ASKING = 1.0


class CancelledError(Exception):
    """The run ends; a training was dropped."""


class DivergedError(Exception):
    """A training gave numbers that are not finite: the only way in which a training fails."""


class DeviceData:
    """The data set on the devices of a lane, put there once for all lanes that have the same."""

    def __init__(self, settings: Settings, dataset: Dataset, devices: Devices) -> None:
        """Puts the training images on every device, and those of validation and test on the first, which evaluates."""
        size = evaluation_batch_size(settings, dataset)
        self.devices = devices
        self.images: Images = put_images(dataset, devices.everywhere)
        self.validation: EvaluationBatches = put_evaluation_batches(dataset.validation, size, devices.first)
        self.test: EvaluationBatches = put_evaluation_batches(dataset.test, size, devices.first)


class Lane:
    """Trains, validates, tests and saves, one individual after the other."""

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        data: DeviceData,
        compiler: Compiler,
        workdir: Workdir,
        execution: Execution,
    ) -> None:
        """Makes a lane of the devices that hold the data."""
        self._settings = settings
        self._dataset = dataset
        self._data = data
        self.compiler = compiler
        self._store = WeightStore(workdir.weights, space_from(settings))
        self._trainings = TrainingStore(workdir.training)
        self._checkpoint_seconds = execution.checkpoint_seconds

    def train(self, birth: Birth, attempt: int, session: int, cancelled: Callable[[], bool]) -> Record:
        """Trains an individual and returns its record; its weights are committed then.

        Args:
            birth: whom to train.
            attempt: the number of this attempt, which names the folder of its weights.
            session: the session that it belongs to.
            cancelled: whether the training is to be dropped.

        Raises:
            CancelledError: soon after `cancelled()` became true.
            CheckpointError: if the parent's weights are missing or altered.
        """
        programs = self.compiler.programs(birth.architecture)
        compile_seconds = self.compiler.bill(birth.architecture)
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
        """Returns the outcome, and the test accuracy, which goes into the record only: selection never sees it."""
        variables = self._train(programs, birth, attempt, cancelled)
        trained = jax.device_get(variables)
        # Gradients alone do not tell: where XLA's CPU backend fuses ReLU and mean, NaN becomes 0 on its way.
        if not all(np.isfinite(array).all() for array in jax.tree.leaves(trained)):
            raise DivergedError("a trained weight is not a finite number")
        fitness = self._accuracy(programs, variables, self._data.validation, self._dataset.validation)
        if fitness is None:
            raise DivergedError("a logit is not a finite number")
        # Logits of test images that are not finite leave a gap in the record; they must not fail the training.
        test_accuracy = self._accuracy(programs, variables, self._data.test, self._dataset.test)
        name = weights_name(birth.id, attempt)
        sha256 = self._store.save(name, birth.genotype, trained)
        return Outcome(birth.id, fitness, name, sha256), test_accuracy

    def _train(self, programs: Programs, birth: Birth, attempt: int, cancelled: Callable[[], bool]) -> Any:
        """Returns the trained variables on the first device; raises `DivergedError` where a loss was not finite."""
        settings, devices = self._settings, self._data.devices
        first, before = self._go_on_from(programs, birth)
        carry: Carry = jax.device_put(before, devices.everywhere)
        plan = devices.put_split(plan_training(settings.seed, birth.id, settings, self._dataset), PLAN_AXIS)
        with np.errstate(over="ignore"):  # An infinite rate diverges, and so fails as it should.
            rate = np.float32(birth.training.learning_rate)
        calls, saved = 1, time.perf_counter()
        while first < settings.train_steps:
            if cancelled():
                raise CancelledError
            began = time.perf_counter()
            end = min(first + calls * programs.steps_a_call, settings.train_steps)
            carry = programs.train(carry, self._data.images, plan, rate, first, end)
            if not bool(carry.finite):
                raise DivergedError("the loss is not a finite number")
            # How many calls are made at once decides only how soon a cancellation is seen.
            calls = max(1, int(calls * min(2.0, _SECONDS_WITHOUT_ASKING / (time.perf_counter() - began))))
            first = end
            if time.perf_counter() - saved >= self._checkpoint_seconds and first < settings.train_steps:
                self._trainings.save(birth.id, attempt, first, jax.device_get(jax.tree.leaves(carry)))
                saved = time.perf_counter()
        return devices.on_first(carry.variables)

    def _go_on_from(self, programs: Programs, birth: Birth) -> tuple[int, Carry]:
        """Returns the step to go on from, and what it is handed: of an earlier attempt's checkpoint, or the first."""
        carry = start(self._first_variables(programs, birth), programs.shapes)
        checkpoint = self._trainings.load(birth.id)
        if checkpoint is None:
            return 0, carry
        step, arrays = checkpoint
        return step, jax.tree.unflatten(jax.tree.structure(carry), arrays)

    def _first_variables(self, programs: Programs, birth: Birth) -> Any:
        parent = None
        if birth.inherited is not None:
            inherited = birth.inherited
            loaded = self._store.load(inherited.weights, inherited.weights_sha256, inherited.genotype)
            parent = (inherited.genotype, loaded)
        return first_variables(self._settings.seed, birth.id, birth.genotype, programs.shapes.variables, parent)

    def _accuracy(self, programs: Programs, variables: Any, batches: EvaluationBatches, split: Split) -> float | None:
        images = self._data.devices.on_first(self._data.images)
        return accuracy(programs.evaluate, variables, images, batches, len(split.labels))
