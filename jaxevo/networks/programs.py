"""Compile the programs of architectures for the devices of a lane.

An architecture has two programs: training and evaluation. The learning rate, the weights, the plan and the data are
arguments, so that a child with a known architecture compiles nothing. A few more programs are shared by all
architectures.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.data import Dataset
from jaxevo.layers.batch_norm import BatchNorm
from jaxevo.layers.convolution import convolve_on
from jaxevo.networks.batches import (
    BATCHES_DRAWN,
    PLAN_AXIS,
    Batch,
    Images,
    Plan,
    draw_batch_on,
    draw_batches,
    images_on,
    normalise,
)
from jaxevo.networks.devices import Devices
from jaxevo.networks.training import (
    Carry,
    Evaluation,
    TrainStep,
    carry_shapes,
    evaluation_batch_size,
    make_evaluate,
    make_train_chunk,
    make_train_step,
    steps_a_chunk,
)
from jaxevo.search.doors import Doors
from jaxevo.settings import Settings
from jaxevo.spaces.network_space import Kernels, networks_of

MADE = "/jaxevo/programs"
"""The event of `jax.monitoring` that tells how long an architecture took to compile, for measurements."""


@dataclass(frozen=True)
class Programs:
    """The compiled programs of one architecture on the devices of a lane.

    Attributes:
        shapes: shapes of the training carry.
        train: `(carry, images, plan, rates, first, end) -> carry`. Runs the steps in `[first, end)`, with the learning
            rate of each from `rates`, float32 [steps] on the host.
        steps_a_call: steps that `train` runs at once. Any other number takes as long as the next multiple.
        evaluate: `(variables, images, batch, correct_before) -> evaluation`. Normalises the batch with the statistics
            of the training images, then evaluates it as `make_evaluate` does. Runs on the first device only, because
            evaluation is a small part of a training.
        compile_seconds: seconds that compiling took.
        compiled: the compiled training step or chunk, and the compiled evaluation.
    """

    shapes: Carry
    train: Callable[..., Carry]
    steps_a_call: int
    evaluate: Callable[..., Evaluation]
    compile_seconds: float
    compiled: tuple[Any, ...] = ()

    @property
    def code_bytes(self) -> int:
        """The bytes of the programs' code on a device, as XLA tells them: a TPU's; 0 elsewhere."""
        analyses = [one.memory_analysis() for one in self.compiled if hasattr(one, "memory_analysis")]
        return sum(int(analysis.generated_code_size_in_bytes) for analysis in analyses if analysis is not None)


class ProgramMaker:
    """Compiles the programs of any architecture for the devices of a lane."""

    def __init__(
        self,
        settings: Settings,
        doors: Doors,
        dataset: Dataset,
        devices: Devices,
        step_by_step: bool | None = None,
    ) -> None:
        """Compiles the programs that all architectures share.

        Args:
            settings: of the run.
            doors: of the run, whose space has networks.
            dataset: of the run.
            devices: of the lane.
            step_by_step: True for one call a step, False for one call a chunk of steps. None: the faster way on the
                devices.
        """
        self._networks, self._with_loss = networks_of(doors.space), doors.fitness.loss
        self._settings = settings
        self._dataset = dataset
        self._devices = devices
        self._platform = devices.first.platform
        self._evaluated = evaluation_batch_size(settings, dataset)
        self._normalise = self._compile_normalise()
        by_step = self._platform == "cpu" if step_by_step is None else step_by_step
        self._make_train = self._by_step() if by_step else self._by_chunk()

    def make(self, architecture: Hashable) -> Programs:
        """Compiles the programs of an architecture."""
        began = time.perf_counter()
        networks, settings = self._networks, self._settings
        task, axis_name = self._dataset.task, self._devices.axis_name
        shapes = carry_shapes(networks.shapes(architecture, task, settings), settings)
        # Only training uses the custom operations: they compile longer, and evaluation is too short to make up for it.
        kernels = Kernels(convolve_on(self._platform, settings), BatchNorm)
        trained = networks.module(architecture, task, settings, axis_name, kernels)
        train_step = make_train_step(trained, settings, networks.decays, axis_name)
        compiled_training, train, steps_a_call = self._make_train(train_step, shapes)
        evaluated = networks.module(architecture, task, settings, kernels=Kernels(convolve_on(self._platform)))
        evaluate_batch = make_evaluate(evaluated, self._with_loss)
        arguments = shapes.variables, *self._batch(self._evaluated), np.int32(0)
        compiled_evaluation = self._devices.compile_on_first(evaluate_batch, arguments)
        evaluate = self._normalising(compiled_evaluation)
        seconds = time.perf_counter() - began
        jax.monitoring.record_event_duration_secs(MADE, seconds)
        return Programs(shapes, train, steps_a_call, evaluate, seconds, (compiled_training, compiled_evaluation))

    def _by_step(self) -> "_MakeTrain":
        """Returns a maker of trainings that run each step as a call of its own, the fastest way on CPU."""
        arguments = self._images(), self._plan(), np.int32(0)
        draw = self._devices.compile(draw_batches, arguments, (None, PLAN_AXIS, None), out_axis=0)

        def make(train_step: TrainStep, shapes: Carry) -> tuple[Any, Callable[..., Carry], int]:
            arguments = shapes, self._batch(self._settings.batch_size), np.float32(0)
            compiled_step = self._devices.compile(train_step, arguments, (None, 0, None), donate=(0,))

            def train(carry: Carry, images: Images, plan: Plan, rates: np.ndarray, first: int, end: int) -> Carry:
                for start in range(first, end, BATCHES_DRAWN):
                    batches = draw(images, plan, np.int32(start))[: end - start]
                    for step, batch in enumerate(batches, start):
                        carry = compiled_step(carry, batch, rates[step])
                return carry

            return compiled_step, train, BATCHES_DRAWN

        return make

    def _by_chunk(self) -> "_MakeTrain":
        """Returns a maker of trainings that run a chunk of steps as one call, the fastest way on accelerators."""
        length, everywhere = steps_a_chunk(self._settings), self._devices.everywhere
        draw_batch = draw_batch_on(self._platform, self._dataset.image_shape)
        rates_shape = jax.ShapeDtypeStruct((self._settings.train_steps,), jnp.float32)

        def make(train_step: TrainStep, shapes: Carry) -> tuple[Any, Callable[..., Carry], int]:
            arguments = shapes, self._images(), self._plan(), rates_shape, np.int32(0), np.int32(0)
            axes = None, None, PLAN_AXIS, None, None, None
            chunk = make_train_chunk(train_step, draw_batch, length)
            compiled_chunk = self._devices.compile(chunk, arguments, axes, donate=(0,))

            def train(carry: Carry, images: Images, plan: Plan, rates: np.ndarray, first: int, end: int) -> Carry:
                placed = jax.device_put(rates, everywhere)
                for start in range(first, end, length):
                    carry = compiled_chunk(carry, images, plan, placed, np.int32(start), np.int32(end))
                return carry

            return compiled_chunk, train, length

        return make

    def _normalising(self, compiled_evaluate: Callable[..., Evaluation]) -> Callable[..., Evaluation]:
        """Returns an evaluation of uint8 images. Normalisation is compiled once for all architectures."""
        normalise = self._normalise

        def evaluate(variables: Any, images: Images, batch: Batch, correct_before: Any) -> Evaluation:
            pixels, labels = batch
            normalised = normalise(pixels, images.mean, images.deviation)
            return compiled_evaluate(variables, normalised, labels, correct_before)

        return evaluate

    def _compile_normalise(self) -> Callable[..., jax.Array]:
        pixels = jax.ShapeDtypeStruct((self._evaluated, *self._dataset.image_shape), jnp.uint8)
        images = self._images()
        return self._devices.compile_on_first(normalise, (pixels, images.mean, images.deviation))

    def _images(self) -> Images:
        return jax.eval_shape(Images, *images_on(self._platform, self._dataset))

    def _plan(self) -> Plan:
        steps, size = self._settings.train_steps, self._settings.batch_size
        return Plan(
            jax.ShapeDtypeStruct((steps, size), jnp.int32),
            jax.ShapeDtypeStruct((steps, size, 2), jnp.int32),
            jax.ShapeDtypeStruct((steps, size), jnp.bool_),
        )

    def _batch(self, size: int) -> Any:
        images = jax.ShapeDtypeStruct((size, *self._dataset.image_shape), jnp.float32)
        return images, jax.ShapeDtypeStruct((size,), jnp.int32)


_MakeTrain = Callable[[TrainStep, Carry], tuple[Any, Callable[..., Carry], int]]
"""Compiles a training step for carries of a shape; returns the compiled program, `Programs.train` and
`Programs.steps_a_call`."""
