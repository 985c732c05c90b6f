"""A lane trains one individual at a time on its devices.

What comes out is a function of the birth, its parent's weights, the data and the settings: which lane trains it, when,
and how often it was tried before change nothing.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxevo.checkpoint import WeightStore
from jaxevo.compilation import Compiler, Programs
from jaxevo.data import Dataset, Split
from jaxevo.devices import Devices
from jaxevo.evaluation import accuracy
from jaxevo.evolution import Birth, Outcome
from jaxevo.genotype import architecture
from jaxevo.inheritance import first_variables
from jaxevo.journal import Record
from jaxevo.settings import Settings
from jaxevo.training import (
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

_FIRST_CHUNK = 16
_CHUNK_SECONDS = 1.0


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
        weights: Path,
        session: int,
    ) -> None:
        """Makes a lane of the devices that hold the data; `session` names the attempts of this process."""
        self._settings = settings
        self._dataset = dataset
        self._data = data
        self.compiler = compiler
        self._store = WeightStore(weights)
        self._session = session

    def train(self, birth: Birth, cancelled: Callable[[], bool]) -> Record:
        """Trains an individual and returns its record; its weights are committed then.

        Raises:
            CancelledError: soon after `cancelled()` became true.
            CheckpointError: if the parent's weights are missing or altered.
        """
        compiled = architecture(birth.genotype, self._dataset.image_shape)
        programs = self.compiler.programs(compiled)
        compile_seconds = self.compiler.bill(compiled)
        began = time.perf_counter()
        try:
            outcome, test_accuracy = self._outcome(programs, birth, cancelled)
        except DivergedError as error:
            outcome, test_accuracy = Outcome(birth.id, 0.0, None, None, failure=str(error)), None
        train_seconds = time.perf_counter() - began
        return Record(outcome, test_accuracy, compile_seconds, train_seconds, time.time(), self._session)

    def _outcome(self, programs: Programs, birth: Birth, cancelled: Callable[[], bool]) -> tuple[Outcome, float | None]:
        """Returns the outcome, and the test accuracy, which goes into the record only: selection never sees it."""
        variables = self._train(programs, birth, cancelled)
        trained = jax.device_get(variables)
        # The loss alone does not tell: where XLA's CPU backend fuses ReLU and mean, NaN becomes 0 on its way to it.
        if not all(np.isfinite(array).all() for array in jax.tree.leaves(trained)):
            raise DivergedError("a trained weight is not a finite number")
        fitness = self._accuracy(programs, variables, self._data.validation, self._dataset.validation)
        if fitness is None:
            raise DivergedError("a logit is not a finite number")
        # Logits of test images that are not finite leave a gap in the record; they must not fail the training.
        test_accuracy = self._accuracy(programs, variables, self._data.test, self._dataset.test)
        name = f"{birth.id:06d}-{self._session}"
        sha256 = self._store.save(name, birth.genotype, trained)
        return Outcome(birth.id, fitness, name, sha256), test_accuracy

    def _train(self, programs: Programs, birth: Birth, cancelled: Callable[[], bool]) -> Any:
        """Returns the trained variables on the first device; raises `DivergedError` where a loss was not finite."""
        settings, devices = self._settings, self._data.devices
        carry: Carry = jax.device_put(start(self._first_variables(programs, birth), settings), devices.everywhere)
        plan = devices.put_split(plan_training(settings.seed, birth.id, settings, self._dataset), PLAN_AXIS)
        with np.errstate(over="ignore"):  # An infinite rate diverges, and so fails as it should.
            rate = np.float32(birth.genotype.learning_rate)
        first, chunk = 0, _FIRST_CHUNK
        while first < settings.train_steps:
            if cancelled():
                raise CancelledError
            began = time.perf_counter()
            end = min(first + chunk, settings.train_steps)
            carry = programs.train(carry, self._data.images, plan, rate, np.int32(first), np.int32(end))
            if not bool(carry.finite):
                raise DivergedError("the loss is not a finite number")
            # How many steps a call makes decides only how soon a cancellation is seen.
            chunk = max(1, int(chunk * min(2.0, _CHUNK_SECONDS / (time.perf_counter() - began))))
            first = end
        return devices.on_first({"params": carry.params, "batch_stats": carry.batch_stats})

    def _first_variables(self, programs: Programs, birth: Birth) -> Any:
        parent = None
        if birth.inherited is not None:
            inherited = birth.inherited
            loaded = self._store.load(inherited.weights, inherited.weights_sha256, inherited.genotype)
            parent = (inherited.genotype, loaded)
        return first_variables(self._settings.seed, birth.id, birth.genotype, programs.shapes, parent)

    def _accuracy(self, programs: Programs, variables: Any, batches: EvaluationBatches, split: Split) -> float | None:
        images = self._data.devices.on_first(self._data.images)
        return accuracy(programs.evaluate, variables, images, batches, len(split.labels))
