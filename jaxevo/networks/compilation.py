"""Compile the programs of architectures and keep them, in memory within a bound and on disk across runs.

An architecture has two programs: training and evaluation. The learning rate, the weights, the plan and the data are
arguments, so that a child with a known architecture compiles nothing.
"""

import collections
import concurrent.futures
import ctypes
import gc
import os
import threading
import time
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.data import Dataset
from jaxevo.doors.opening import built_in
from jaxevo.layers.batch_norm import BatchNorm
from jaxevo.layers.convolution import convolve_on
from jaxevo.networks.devices import Devices
from jaxevo.networks.training import (
    BATCHES_DRAWN,
    PLAN_AXIS,
    Batch,
    Carry,
    Evaluation,
    Images,
    Plan,
    carry_shapes,
    draw_batches,
    evaluation_batch_size,
    make_evaluate,
    make_train_chunk,
    make_train_step,
    normalise,
    steps_a_chunk,
)
from jaxevo.search.doors import Doors
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.network_space import Kernels, networks_of

_CACHE_BYTES = 512 * 2**20


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
    """

    shapes: Carry
    train: Callable[..., Carry]
    steps_a_call: int
    evaluate: Callable[..., Evaluation]
    compile_seconds: float


class Compiler:
    """A compiler for the devices of a lane: compiles each architecture once and keeps the last `capacity` of them.

    Threads may share it. Two that ask for the same architecture share one compilation.
    """

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        devices: Devices,
        capacity: int = Execution.programs_in_memory,
        doors: Doors | None = None,
    ) -> None:
        """Compiles the programs that all architectures share; `doors` are the built-in ones by default."""
        doors = built_in(settings) if doors is None else doors
        self._networks, self._with_loss = networks_of(doors.space), doors.fitness.loss
        self._settings = settings
        self._dataset = dataset
        self._devices = devices
        self._capacity = capacity
        self._dropped = 0
        self._known: collections.OrderedDict[Hashable, concurrent.futures.Future[Programs]]
        self._known = collections.OrderedDict()
        self._unbilled: dict[Hashable, float] = {}
        self._lock = threading.Lock()
        self._evaluated = evaluation_batch_size(settings, dataset)
        self._step_by_step = devices.first.platform == "cpu"
        self._draw_batches = self._compile_draw_batches()
        self._normalise = self._compile_normalise()

    def programs(self, architecture: Hashable) -> Programs:
        """Returns an architecture's programs, compiling them if needed."""
        future, mine = self._entry(architecture)
        if not mine:
            return future.result()
        try:
            programs = self._compile(architecture)
        except BaseException as error:
            with self._lock:
                if self._known.get(architecture) is future:
                    del self._known[architecture]
            future.set_exception(error)
            raise
        with self._lock:
            self._unbilled[architecture] = programs.compile_seconds
        future.set_result(programs)
        return programs

    def bill(self, architecture: Hashable) -> float:
        """Returns the seconds that compiling took on the first call, then 0, so that they are counted once."""
        with self._lock:
            return self._unbilled.pop(architecture, 0.0)

    def knows(self, architecture: Hashable) -> bool:
        """Returns True if the architecture is compiled or being compiled."""
        with self._lock:
            return architecture in self._known

    def has(self, architecture: Hashable) -> bool:
        """Returns True if the architecture is compiled, so that `programs` returns at once."""
        with self._lock:
            future = self._known.get(architecture)
            return future is not None and future.done()

    def _entry(self, architecture: Hashable) -> tuple[concurrent.futures.Future[Programs], bool]:
        """Returns a future of the architecture's programs, and True if the caller must compile them."""
        with self._lock:
            known = self._known.get(architecture)
            if known is not None:
                self._known.move_to_end(architecture)
                return known, False
            mine = self._known[architecture] = concurrent.futures.Future()
            many_dropped = False
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
                self._dropped += 1
                many_dropped = self._dropped % self._capacity == 0
        # Trimming takes 0.2 s, which is little once per `capacity` compilations but too much after each.
        if many_dropped:
            _give_back_memory()
        return mine, True

    def _compile(self, architecture: Hashable) -> Programs:
        began = time.perf_counter()
        networks, task, settings, axis_name = (
            self._networks,
            self._dataset.task,
            self._settings,
            self._devices.axis_name,
        )
        evaluated = networks.module(architecture, task, settings)
        shapes = carry_shapes(networks.shapes(architecture, task, settings), settings)
        # Only training uses the custom operations: they compile longer, and evaluation is too short to make up for it.
        kernels = Kernels(convolve_on(self._devices.first.platform, settings), BatchNorm)
        trained = networks.module(architecture, task, settings, axis_name, kernels)
        train_step = make_train_step(trained, settings, networks.decays, axis_name)
        compile_for_all = self._devices.compile
        if self._step_by_step:
            arguments: tuple[Any, ...] = shapes, self._batch(self._settings.batch_size), np.float32(0)
            steps_a_call = BATCHES_DRAWN
            train = self._stepping(compile_for_all(train_step, arguments, (None, 0, None), donate=(0,)))
        else:
            steps_a_call = steps_a_chunk(self._settings)
            chunk, axes = make_train_chunk(train_step, steps_a_call), (None, None, PLAN_AXIS, None, None, None)
            rates = jax.ShapeDtypeStruct((self._settings.train_steps,), jnp.float32)
            arguments = shapes, self._images(), self._plan(), rates, np.int32(0), np.int32(0)
            compiled_chunk = compile_for_all(chunk, arguments, axes, donate=(0,))
            train = _chunk_by_chunk(compiled_chunk, steps_a_call, self._devices.everywhere)
        arguments = shapes.variables, *self._batch(self._evaluated), np.int32(0)
        evaluate = self._normalising(
            self._devices.compile_on_first(make_evaluate(evaluated, self._with_loss), arguments)
        )
        return Programs(shapes, train, steps_a_call, evaluate, time.perf_counter() - began)

    def _stepping(self, compiled_step: Callable[..., Carry]) -> Callable[..., Carry]:
        """Returns a function that runs steps with one call of a compiled program each, the fastest way on CPU."""
        draw = self._draw_batches

        def train(carry: Carry, images: Images, plan: Plan, rates: np.ndarray, first: int, end: int) -> Carry:
            for start in range(first, end, BATCHES_DRAWN):
                batches = draw(images, plan, np.int32(start))[: end - start]
                for step, batch in enumerate(batches, start):
                    carry = compiled_step(carry, batch, rates[step])
            return carry

        return train

    def _normalising(self, compiled_evaluate: Callable[..., Evaluation]) -> Callable[..., Evaluation]:
        """Returns an evaluation of uint8 images. Normalisation is compiled once for all architectures."""
        normalise = self._normalise

        def evaluate(variables: Any, images: Images, batch: Batch, correct_before: Any) -> Evaluation:
            pixels, labels = batch
            normalised = normalise(pixels, images.mean, images.deviation)
            return compiled_evaluate(variables, normalised, labels, correct_before)

        return evaluate

    def _compile_draw_batches(self) -> Callable[..., Any]:
        arguments = self._images(), self._plan(), np.int32(0)
        return self._devices.compile(draw_batches, arguments, (None, PLAN_AXIS, None), out_axis=0)

    def _compile_normalise(self) -> Callable[..., jax.Array]:
        pixels = jax.ShapeDtypeStruct((self._evaluated, *self._dataset.image_shape), jnp.uint8)
        images = self._images()
        return self._devices.compile_on_first(normalise, (pixels, images.mean, images.deviation))

    def _images(self) -> Images:
        dataset = self._dataset
        return jax.eval_shape(Images, dataset.train.images, dataset.train.labels, dataset.mean, dataset.std)

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


def _chunk_by_chunk(
    compiled_chunk: Callable[..., Carry], length: int, everywhere: jax.Device | jax.sharding.Sharding
) -> Callable[..., Carry]:
    """Returns a function that runs any number of steps as repeated calls of a compiled chunk of `length` steps."""

    def train(carry: Carry, images: Images, plan: Plan, rates: np.ndarray, first: int, end: int) -> Carry:
        placed = jax.device_put(rates, everywhere)
        for start in range(first, end, length):
            carry = compiled_chunk(carry, images, plan, placed, np.int32(start), np.int32(end))
        return carry

    return train


def _give_back_memory() -> None:
    """Returns the memory of dropped programs to the system.

    Dropped programs lie in reference cycles, which Python collects less and less often as a run's history grows. glibc
    keeps the freed memory.
    """
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # Only glibc has it.
        malloc_trim(0)


def use_persistent_cache(folder: Path) -> None:
    """Keeps all executables in a folder of bounded size, so that later runs need not compile them again.

    By default JAX stores no program that compiles in under a second, and never deletes any. A folder that cannot be
    written is not used: a session has said so (`cache_problem`).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    # If the disk becomes full, JAX would say so of every program.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)
