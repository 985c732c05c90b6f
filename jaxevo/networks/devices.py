"""The devices of a lane: replicate or split arrays over them, and compile programs for them.

Only this module uses `pmap`, which JAX keeps but no longer develops. Since JAX 0.8 it is built on `jit` and
`shard_map`; a move to these would change only this module. With one device everything is plain `jit`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxevo.environment.flags import TPU_OPTIONS

# Tracing is Python, so that threads which trace at once gain nothing from it. A dozen of them, which compile ahead for
# a GPU, would leave the lanes a dozenth of the interpreter's time.
_tracing = threading.Lock()

AXIS = "devices"
"""The name of the device axis in a program."""


class Devices:
    """Devices of one kind that run every program together, each on its part of the batch.

    Attributes:
        axis_name: axis over which a program averages; None for one device.
        first: device that holds what is not replicated, and that evaluates.
        everywhere: device or sharding that replicates an array on all devices.
    """

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        """Groups one or more devices, in the order of the parts of a batch."""
        self._devices = tuple(devices)
        several = len(self._devices) > 1
        self.first = self._devices[0]
        self.axis_name = AXIS if several else None
        self._mesh = jax.sharding.Mesh(np.array(self._devices), (AXIS,))
        self.everywhere: jax.Device | jax.sharding.Sharding = self._sharding() if several else self.first
        # On virtual CPU devices, queued steps deadlock in the all-reduce sooner or later. Waiting for each step avoids
        # it. Accelerators run programs in the order in which they are sent.
        self._wait = several and self.first.platform == "cpu"

    def __len__(self) -> int:
        """Returns the number of devices."""
        return len(self._devices)

    def __iter__(self) -> Iterator[jax.Device]:
        """Iterates over the devices, in the order of the parts of a batch."""
        return iter(self._devices)

    def put_split(self, tree: Any, axis: int) -> Any:
        """Puts arrays on the devices, split evenly along an axis; one device gets them unchanged.

        Args:
            tree: tree of arrays. The number of devices must divide the size of `axis`.
            axis: axis to split. With several devices it becomes two, [devices, part].
        """
        if len(self) == 1:
            return jax.device_put(tree, self.first)
        parts = jax.tree.map(lambda array: array.reshape(self._split_shape(array.shape, axis)), tree)
        return jax.device_put(parts, self._sharding(*(None,) * axis, AXIS))

    def on_first(self, tree: Any) -> Any:
        """Returns the first device's copy of replicated arrays, without copying."""
        return tree if len(self) == 1 else jax.tree.map(lambda array: array.addressable_data(0), tree)

    def compile(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        axes: Sequence[int | None],
        out_axis: int | None = None,
        donate: Sequence[int] = (),
    ) -> Callable[..., Any]:
        """Compiles a function that each device runs on its part.

        Args:
            function: function of arrays. With several devices it sees only its part of split arrays.
            arguments: trees of the shapes of the whole arrays.
            axes: axis along which each argument is split (see `put_split`), None if it is replicated.
            out_axis: axis along which the results are split, None if they are the same on all devices.
            donate: indices of donated arguments.

        Returns:
            The compiled function. It takes arrays placed as `axes` says, and NumPy scalars.
        """
        if len(self) == 1:
            return self.compile_on_first(function, arguments, donate)
        shapes = [self._split_shapes(tree, axis) for tree, axis in zip(arguments, axes, strict=True)]
        mapped = jax.pmap(
            function, AXIS, in_axes=tuple(axes), out_axes=out_axis, devices=self._devices, donate_argnums=tuple(donate)
        )
        with _tracing:
            lowered = mapped.lower(*shapes)
        compiled = _compiled(lowered, self.first.platform)
        return (lambda *given: jax.block_until_ready(compiled(*given))) if self._wait else compiled

    def compile_on_first(
        self, function: Callable[..., Any], arguments: Sequence[Any], donate: Sequence[int] = ()
    ) -> Callable[..., Any]:
        """Compiles a function for the first device only; takes the arguments of `compile`."""
        sharding = jax.sharding.SingleDeviceSharding(self.first)
        placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tuple(arguments))
        with _tracing:
            lowered = jax.jit(function, donate_argnums=tuple(donate)).lower(*placed)
        return _compiled(lowered, self.first.platform)

    def _sharding(self, *axes: str | None) -> jax.sharding.Sharding:
        return jax.sharding.NamedSharding(self._mesh, jax.sharding.PartitionSpec(*axes))

    def _split_shapes(self, tree: Any, axis: int | None) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(self._split_shape(x.shape, axis), x.dtype), tree)

    def _split_shape(self, shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
        if axis is None:
            return shape
        return (*shape[:axis], len(self), shape[axis] // len(self), *shape[axis + 1 :])


def _compiled(lowered: jax.stages.Lowered, platform: str) -> Callable[..., Any]:
    """Returns a compiled program; for a TPU with jaxevo's options, unless its compiler does not know them."""
    if platform != "tpu":
        return lowered.compile()
    try:
        return lowered.compile(compiler_options=TPU_OPTIONS)
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return lowered.compile()


def device_groups(devices_per_lane: int) -> list[Devices]:
    """Returns this machine's devices in groups of one lane each; devices that do not fill a group stay unused.

    Raises:
        ValueError: if there are too few devices for one group.
    """
    devices = jax.local_devices()
    if devices_per_lane > len(devices):
        raise ValueError(
            f"devices_per_lane is {devices_per_lane}, but must be at most {len(devices)}: "
            f"this machine has {len(devices)} of the kind {devices[0].device_kind}"
        )
    starts = range(0, len(devices) - devices_per_lane + 1, devices_per_lane)
    return [Devices(devices[first : first + devices_per_lane]) for first in starts]
