"""The devices that a lane owns: what lies whole on each of them, what is split, and how a program runs on them all.

The one place that knows `pmap`, which JAX keeps but no longer develops: since 0.8 it is written with `jit` and
`shard_map`, and a move to these ends here. With one device everything is plain `jit`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

AXIS = "devices"
"""What a program calls the axis of its devices."""


class Devices:
    """Devices of one kind that run every program together, each on its part of the batch.

    Attributes:
        axis_name: over which a program takes means; None for one device, where nothing is to be averaged.
        first: the device that holds what is not shared.
        everywhere: where an array is put that each of them needs whole.
    """

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        """Takes one device or more, in the order of the parts of a batch."""
        self._devices = tuple(devices)
        several = len(self._devices) > 1
        self.first = self._devices[0]
        self.axis_name = AXIS if several else None
        self._mesh = jax.sharding.Mesh(np.array(self._devices), (AXIS,))
        self.everywhere: jax.Device | jax.sharding.Sharding = self._sharding() if several else self.first
        # On virtual CPU devices steps that queue hang in the all-reduce, sooner or later; waited for one by one, none
        # ever did. Accelerators keep the order of what they are sent.
        self._wait = several and self.first.platform == "cpu"

    def __len__(self) -> int:
        """Returns how many they are."""
        return len(self._devices)

    def __iter__(self) -> Iterator[jax.Device]:
        """Iterates over them, in the order of the parts of a batch."""
        return iter(self._devices)

    def put_split(self, tree: Any, axis: int) -> Any:
        """Puts arrays on the devices, split evenly along an axis; with one device, as they are.

        Args:
            tree: of arrays whose `axis` the number of devices divides.
            axis: to be split. With several devices it becomes two, [devices, part].
        """
        if len(self) == 1:
            return jax.device_put(tree, self.first)
        parts = jax.tree.map(lambda array: array.reshape(self._split_shape(array.shape, axis)), tree)
        return jax.device_put(parts, self._sharding(*(None,) * axis, AXIS))

    def on_first(self, tree: Any) -> Any:
        """Returns, of arrays that lie whole on each device, what lies on the first; nothing is copied."""
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
            function: of arrays; with several devices it sees its part of those that are split.
            arguments: trees of shapes, of the whole arrays.
            axes: for each argument the axis along which it is split (`put_split`), None where it lies everywhere.
            out_axis: the axis along which the results are split, or None where all devices have the same.
            donate: which arguments are used up.

        Returns:
            The compiled function. It takes arrays where `arguments` and `axes` say, and numbers of NumPy.
        """
        if len(self) == 1:
            return self.compile_on_first(function, arguments, donate)
        shapes = [self._split_shapes(tree, axis) for tree, axis in zip(arguments, axes, strict=True)]
        mapped = jax.pmap(
            function, AXIS, in_axes=tuple(axes), out_axes=out_axis, devices=self._devices, donate_argnums=tuple(donate)
        )
        compiled = mapped.lower(*shapes).compile()
        return (lambda *given: jax.block_until_ready(compiled(*given))) if self._wait else compiled

    def compile_on_first(
        self, function: Callable[..., Any], arguments: Sequence[Any], donate: Sequence[int] = ()
    ) -> Callable[..., Any]:
        """Compiles a function that the first device runs alone, as the only one; arguments as for `compile`."""
        sharding = jax.sharding.SingleDeviceSharding(self.first)
        placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tuple(arguments))
        return jax.jit(function, donate_argnums=tuple(donate)).lower(*placed).compile()

    def _sharding(self, *axes: str | None) -> jax.sharding.Sharding:
        return jax.sharding.NamedSharding(self._mesh, jax.sharding.PartitionSpec(*axes))

    def _split_shapes(self, tree: Any, axis: int | None) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(self._split_shape(x.shape, axis), x.dtype), tree)

    def _split_shape(self, shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
        if axis is None:
            return shape
        return (*shape[:axis], len(self), shape[axis] // len(self), *shape[axis + 1 :])


def device_groups(devices_per_lane: int) -> list[Devices]:
    """Returns the devices of this machine in groups, for a lane each; what does not fill a group stays unused.

    Raises:
        ValueError: if there are fewer than one group needs.
    """
    devices = jax.local_devices()
    if devices_per_lane > len(devices):
        raise ValueError(
            f"devices_per_lane is {devices_per_lane}, but must be at most {len(devices)}: "
            f"this machine has {len(devices)} of the kind {devices[0].device_kind}"
        )
    starts = range(0, len(devices) - devices_per_lane + 1, devices_per_lane)
    return [Devices(devices[first : first + devices_per_lane]) for first in starts]
