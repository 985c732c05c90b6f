"""One network in training, by the programs that a run would train it with."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxevo.data import Dataset
from jaxevo.execution.lane import DeviceData
from jaxevo.networks.compilation import Compiler, Programs
from jaxevo.networks.devices import Devices
from jaxevo.networks.training import PLAN_AXIS, plan_training, start
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.inheritance import first_variables


class Place:
    """The devices of a lane, with the data on them and what compiles for them; lanes of one device may share it."""

    def __init__(self, settings: Settings, dataset: Dataset, devices: Sequence[jax.Device]) -> None:
        """Puts the data on the devices."""
        self.settings = settings
        self.dataset = dataset
        self.data = DeviceData(settings, dataset, Devices(devices))
        self._compiler = self.new_compiler()

    def new_compiler(self) -> Compiler:
        """Returns a compiler that knows no architecture yet."""
        return Compiler(self.settings, self.dataset, self.data.devices)

    def programs(self, genotype: Genotype) -> Programs:
        """Returns what trains and evaluates a genotype, compiled once."""
        return self._compiler.programs(architecture(genotype, self.dataset.image_shape))


class Trainee:
    """A network that trains as far as it is told to, again and again over the same plan."""

    def __init__(self, place: Place, genotype: Genotype, programs: Programs, individual_id: int = 0) -> None:
        """Puts its first weights and its plan on the devices; both are those of the individual of that id."""
        settings, devices = place.settings, place.data.devices
        variables = first_variables(settings.seed, individual_id, genotype, programs.shapes.variables, None)
        self._carry = jax.device_put(start(variables, programs.shapes), devices.everywhere)
        plan = plan_training(settings.seed, individual_id, settings, place.dataset)
        self._plan = devices.put_split(plan, PLAN_AXIS)
        self._rate = np.float32(genotype.learning_rate)
        self._data = place.data
        self._programs = programs

    def train(self, steps: int) -> None:
        """Trains so many steps, at most those that are planned, and waits until the devices have done them."""
        self._carry = self._programs.train(self._carry, self._data.images, self._plan, self._rate, 0, steps)
        jax.block_until_ready(self._carry)

    def evaluate(self, batches: int) -> None:
        """Evaluates so many batches of images, and waits until the device has done them."""
        images = self._data.devices.on_first(self._data.images)
        variables = self._data.devices.on_first(self._carry.variables)
        batch = self._data.test[0]
        correct: Any = np.int32(0)
        for _ in range(batches):
            correct = self._programs.evaluate(variables, images, batch, correct).correct
        jax.block_until_ready(correct)
