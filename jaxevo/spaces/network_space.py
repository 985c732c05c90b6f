"""The second half of a search space: its networks, in Flax."""

import functools
import hashlib
import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.layers.convolution import Convolve
from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.search.space import SearchSpace, Task
from jaxevo.settings import InheritanceName, Settings

Variables = dict[str, Any]
"""{"params": ..., "batch_stats": ...}: trees of arrays, or of their shapes, as Flax makes them."""

Path = tuple[str, ...]
"""The names on the way to an array in `params` or `batch_stats`, such as `("classifier", "kernel")`."""


class Kernels(NamedTuple):
    """Faster operations for the networks of a training, equal to those of JAX and Flax up to rounding.

    Attributes:
        convolve: replaces `jax.lax.conv_general_dilated`, which some versions of JAX compute wrong in bfloat16 on CPU.
        batch_norm: replaces `flax.linen.BatchNorm` for images, [batch, height, width, channels], its only argument.
    """

    convolve: Convolve = jax.lax.conv_general_dilated
    batch_norm: type[nn.BatchNorm] = nn.BatchNorm


class NetworkSpace(ABC):
    """The networks of a search space. Derive a class from it; only `module` must be written."""

    @abstractmethod
    def module(
        self,
        architecture: Any,
        task: Task,
        settings: Settings,
        axis_name: str | None = None,
        kernels: Kernels = Kernels(),  # noqa: B008 - immutable
    ) -> nn.Module:
        """Returns the Flax module of an architecture: `module.apply(variables, images, train)` returns logits.

        Images are normalised, float32 `[batch, *task.input_shape]`; logits are float32 [batch, classes]. The variables
        are `params` and, if there are any, `batch_stats`. Modules of equal architectures must be equal.

        Args:
            architecture: as the first half of the space returns it.
            task: to solve.
            settings: of the run; `compute_dtype` and `batch_norm_decay` are meant for networks.
            axis_name: of the devices that share a batch, over which batch statistics must be taken; None for one.
            kernels: operations to use where the network has such; a network may ignore them.
        """

    def shapes(self, architecture: Any, task: Task, settings: Settings) -> Variables:
        """Returns the shapes of all arrays, float32, as {"params": ..., "batch_stats": ...}.

        By default Flax traces the network for them.
        """
        module = self.module(architecture, task, settings)
        images = jax.ShapeDtypeStruct((1, *task.input_shape), jnp.float32)
        found = jax.eval_shape(lambda images: module.init(jax.random.key(0), images, train=False), images)
        return {"params": {}, "batch_stats": {}} | dict(found)

    def decays(self, path: Path) -> bool:
        """Returns True if weight decay applies to the array of `params` at a path; by default see `is_filter`."""
        return is_filter(path)

    def first_variables(
        self,
        seed: int,
        individual_id: int,
        genotype: Any,
        shapes: Variables,
        parent: tuple[Any, Variables] | None,
        inheritance: InheritanceName,
    ) -> Variables:
        """Returns the initial arrays of a training, NumPy float32.

        By default an array is the parent's if that has one of the same path and shape, and fresh otherwise: see
        `fresh`. All must be a function of these arguments.

        Args:
            seed: the run's seed.
            individual_id: id of the individual.
            genotype: of the individual.
            shapes: of its arrays, as `shapes` returns them.
            parent: the parent's genotype and trained variables, or None if nothing is inherited.
            inheritance: the run's setting.
        """
        bequeathed = {} if parent is None else dict(leaves(parent[1]))
        first: Variables = {collection: {} for collection in shapes}
        for path, shape in leaves(shapes):
            inherited = bequeathed.get(path)
            if inherited is None or inherited.shape != shape.shape:
                inherited = fresh(seed, individual_id, path, shape.shape)
            put(first, path, np.asarray(inherited))
        return first

    def source(
        self,
        architecture: Any,
        settings: Settings,
        class_names: Sequence[str],
        mean: Sequence[float],
        deviation: Sequence[float],
    ) -> str | None:
        """Returns the Python source of a network that works without jaxevo; by default None: there is none.

        Args:
            architecture: of the network.
            settings: of the run that trained it. A module that computes in another type than float32 should have a
                field `dtype`, since `to_onnx.py` sets it to float32.
            class_names: one per class, by label.
            mean: mean of the training pixels in [0, 1], by channel.
            deviation: their standard deviation, by channel.
        """
        return None


def is_filter(path: Path) -> bool:
    """Returns True for the path of a kernel outside of a module named `classifier`."""
    return path[-1] == "kernel" and path[0] != "classifier"


def networks_of(space: SearchSpace[Any]) -> NetworkSpace:
    """Returns the networks of a space, the same ones for the same space.

    Raises:
        ValueError: if the space has none.
    """
    if space.network is None:
        raise ValueError(f"the space {type(space).__name__} has no networks: nothing is trained in it")
    module, _, name = space.network.partition(":")
    return _made(module or type(space).__module__, name)


@functools.cache
def _made(module: str, name: str) -> NetworkSpace:
    networks = getattr(importlib.import_module(module), name)()
    if not isinstance(networks, NetworkSpace):
        raise ValueError(f"network is {module}:{name}, but must return a jaxevo.spaces.network_space.NetworkSpace")
    return networks


def fresh(seed: int, individual_id: int, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a fresh array, float32: ones for `scale` and `var`, zeros for `bias` and `mean`, He-normal for others.

    NumPy makes it, so that nothing compiles. It depends on the arguments alone.
    """
    if path[-1] in ("scale", "var"):
        return np.ones(shape, np.float32)
    if path[-1] in ("bias", "mean"):
        return np.zeros(shape, np.float32)
    index = int.from_bytes(hashlib.sha256("/".join(path).encode()).digest()[:8])
    generator = keyed_generator(seed, individual_id, Purpose.INITIAL_ARRAY, index)
    fan_in = math.prod(shape[:-1])
    return generator.standard_normal(shape, np.float32) * np.float32(math.sqrt(2.0 / fan_in))


def leaves(tree: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Returns the leaves of nested dictionaries with their paths, in the order of the dictionaries."""
    if not isinstance(tree, dict):
        return [(path, tree)]
    return [leaf for name, part in tree.items() for leaf in leaves(part, (*path, name))]


def put(tree: dict[str, Any], path: Path, leaf: Any) -> None:
    """Sets a leaf of nested dictionaries, which are made as needed."""
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = leaf
