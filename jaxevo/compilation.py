"""Executables by architecture: compiled once, kept in memory within a bound, and on disk across runs.

An architecture needs two: training and evaluation. The learning rate, the weights, the plan and the data are
arguments, so that a child with a known architecture compiles nothing.
"""

import collections
import concurrent.futures
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.data import Dataset
from jaxevo.genotype import Architecture
from jaxevo.inheritance import Variables
from jaxevo.phenotype import Phenotype, variable_shapes
from jaxevo.settings import Settings
from jaxevo.training import (
    Carry,
    Evaluation,
    Images,
    Plan,
    draw_batch,
    evaluation_batch_size,
    make_evaluate,
    make_train_chunk,
    make_train_step,
    start,
)

_CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Programs:
    """What trains and evaluates one architecture on one device.

    Attributes:
        shapes: of the variables.
        train: `(carry, images, plan, learning_rate, first, end) -> carry`, the steps from `first` up to `end`.
        evaluate: `(variables, mean, deviation, pixels, labels) -> evaluation`.
        compile_seconds: what making them took.
    """

    shapes: Variables
    train: Callable[..., Carry]
    evaluate: Callable[..., Evaluation]
    compile_seconds: float


class Compiler:
    """Compiles for one device, every architecture once, and remembers the last `capacity` architectures.

    Threads may share it: two that ask for one architecture wait for one compilation.
    """

    def __init__(self, settings: Settings, dataset: Dataset, device: jax.Device, capacity: int = 256) -> None:
        """Prepares the one program that all architectures share."""
        self._settings = settings
        self._dataset = dataset
        self._device = device
        self._capacity = capacity
        self._known: collections.OrderedDict[Architecture, concurrent.futures.Future[Programs]]
        self._known = collections.OrderedDict()
        self._unbilled: dict[Architecture, float] = {}
        self._lock = threading.Lock()
        self._step_by_step = device.platform == "cpu"
        self._draw_batch = self._compile_draw_batch()

    def programs(self, architecture: Architecture) -> Programs:
        """Returns an architecture's programs, compiling them where they are not known."""
        with self._lock:
            future = self._known.get(architecture)
            mine = future is None
            if future is None:
                future = concurrent.futures.Future()
                self._known[architecture] = future
                if len(self._known) > self._capacity:
                    self._known.popitem(last=False)
            self._known.move_to_end(architecture)
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

    def bill(self, architecture: Architecture) -> float:
        """Returns the seconds that compiling took, to the first that asks: they are counted once."""
        with self._lock:
            return self._unbilled.pop(architecture, 0.0)

    def knows(self, architecture: Architecture) -> bool:
        """Returns whether the architecture is compiled, or being compiled."""
        with self._lock:
            return architecture in self._known

    def _compile(self, architecture: Architecture) -> Programs:
        began = time.perf_counter()
        classes = len(self._dataset.class_names)
        phenotype = Phenotype(architecture, classes, self._settings.batch_norm_decay)
        shapes = variable_shapes(phenotype)
        train_step = make_train_step(phenotype, self._settings)
        carry = self._abstract(start(shapes, self._settings))
        rate, step = self._abstract(np.float32(0)), self._abstract(np.int32(0))
        if self._step_by_step:
            compiled = jax.jit(train_step, donate_argnums=0).lower(carry, self._batch(), rate).compile()
            train = self._stepping(compiled)
        else:
            chunk = jax.jit(make_train_chunk(train_step), donate_argnums=0)
            train = chunk.lower(carry, self._images(), self._plan(), rate, step, step).compile()
        evaluate = jax.jit(make_evaluate(phenotype)).lower(*self._evaluation_arguments(shapes)).compile()
        return Programs(shapes, train, evaluate, time.perf_counter() - began)

    def _stepping(self, compiled_step: Callable[..., Carry]) -> Callable[..., Carry]:
        """Returns a run of steps that calls a compiled program each step, as is best on CPU."""
        draw = self._draw_batch

        def train(carry: Carry, images: Images, plan: Plan, learning_rate: Any, first: int, end: int) -> Carry:
            for step in range(first, end):
                carry = compiled_step(carry, draw(images, plan, np.int32(step)), learning_rate)
            return carry

        return train

    def _compile_draw_batch(self) -> Callable[..., Any]:
        arguments = self._images(), self._plan(), self._abstract(np.int32(0))
        return jax.jit(draw_batch).lower(*arguments).compile()

    def _abstract(self, tree: Any) -> Any:
        """Returns the tree's shapes, placed on the device."""
        sharding = jax.sharding.SingleDeviceSharding(self._device)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

    def _images(self) -> Images:
        train, channels = self._dataset.train, jax.ShapeDtypeStruct((self._dataset.image_shape[2],), jnp.float32)
        return Images(*self._abstract((train.images, train.labels, channels, channels)))

    def _plan(self) -> Plan:
        steps, size = self._settings.train_steps, self._settings.batch_size
        shapes = Plan(
            jax.ShapeDtypeStruct((steps, size), jnp.int32),
            jax.ShapeDtypeStruct((steps, size, 2), jnp.int32),
            jax.ShapeDtypeStruct((steps, size), jnp.bool_),
        )
        return self._abstract(shapes)

    def _batch(self) -> Any:
        size = self._settings.batch_size
        images = jax.ShapeDtypeStruct((size, *self._dataset.image_shape), jnp.float32)
        return self._abstract((images, jax.ShapeDtypeStruct((size,), jnp.int32)))

    def _evaluation_arguments(self, shapes: Variables) -> Any:
        size = evaluation_batch_size(self._settings, self._dataset)
        channels = jax.ShapeDtypeStruct((self._dataset.image_shape[2],), jnp.float32)
        pixels = jax.ShapeDtypeStruct((size, *self._dataset.image_shape), jnp.uint8)
        labels = jax.ShapeDtypeStruct((size,), jnp.int32)
        return self._abstract((shapes, channels, channels, pixels, labels))


def use_persistent_cache(folder: Path) -> None:
    """Keeps every executable in a folder of bounded size, so that no later run compiles it again.

    JAX's defaults would store no program that compiles in under a second, and would never delete one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)
