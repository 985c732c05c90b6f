"""Measure the peak speed of one lane's device: matrix products and memory bandwidth.

On CPU a lane has one thread, so these are numbers of one core; scaling over lanes shows the rest.
"""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxevo import __version__
from jaxevo.bench.extent import Extent
from jaxevo.bench.timing import Spread, rates, seconds_each
from jaxevo.environment.cores import usable_cores
from jaxevo.execution.machine import describe_machine
from jaxevo.settings import Execution

_SMALLEST, _LARGEST = 256, 8_192


@dataclass(frozen=True)
class Product:
    """The fastest product of two square matrices.

    Attributes:
        dtype: dtype of the matrices. Products of float32 use JAX's default precision, as networks do in training.
        size: number of rows and columns of the fastest product.
        flops_per_second: 2 size^3 / seconds per product.
    """

    dtype: str
    size: int
    flops_per_second: Spread


@dataclass(frozen=True)
class DeviceSpeed:
    """The peak speed of one lane's device.

    Attributes:
        products: matrix products, float32 first; on accelerators bfloat16 too.
        bandwidth_bytes_per_second: bytes read and written per second by `a = a + 2 b`, three arrays per operation.
        array_bytes: bytes of each array.
    """

    products: list[Product]
    bandwidth_bytes_per_second: Spread
    array_bytes: int


def describe() -> dict[str, Any]:
    """Returns facts about the machine: versions, kind and number of devices, flags."""
    device = jax.local_devices()[0]
    return {
        "jaxevo": __version__,
        "python": platform.python_version(),
        "platform": device.platform,
        "local devices": jax.local_device_count(),
        "cores": usable_cores(),
        "system": platform.platform(),
        **describe_machine(Execution()).facts(),
    }


def measure_device(extent: Extent, say: Callable[[str], None]) -> DeviceSpeed:
    """Measures the first device."""
    accelerated = jax.local_devices()[0].platform != "cpu"
    products = []
    # On CPU bfloat16 is emulated, and no network is trained with it.
    for dtype in ("float32", "bfloat16") if accelerated else ("float32",):
        say(f"products of {dtype} matrices")
        products.append(_fastest_product(extent, dtype))
    say("bandwidth")
    array_bytes = extent.array_mebibytes * 2**20
    return DeviceSpeed(products, _bandwidth(extent, array_bytes), array_bytes)


def _fastest_product(extent: Extent, dtype: str) -> Product:
    """Doubles the size until a product takes too long, and returns the fastest product."""
    best: Product | None = None
    size = _SMALLEST
    while True:
        seconds = seconds_each(_product(size, dtype), extent.window_seconds, extent.repeats)
        tried = Product(dtype, size, rates(2.0 * size**3, seconds))
        if best is None or tried.flops_per_second.median > best.flops_per_second.median:
            best = tried
        if size == _LARGEST or 8 * seconds.median > extent.matrix_seconds:
            return best
        size *= 2


def _product(size: int, dtype: str) -> Callable[[int], object]:
    """Returns a function that multiplies by a matrix `count` times, each product being a factor of the next."""
    first_key, factor_key = jax.random.split(jax.random.key(0))
    first = jax.random.normal(first_key, (size, size), dtype)
    # Scaled so that the eigenvalues lie in the unit circle and repeated products do not grow.
    factor = jax.random.normal(factor_key, (size, size), dtype) / size**0.5
    multiply = jax.jit(jnp.matmul)

    def work(count: int) -> object:
        product = first
        for _ in range(count):
            product = multiply(product, factor)
        return jax.block_until_ready(product)

    return work


def _bandwidth(extent: Extent, array_bytes: int) -> Spread:
    numbers = array_bytes // 4
    state = {"array": jnp.ones(numbers, jnp.float32)}
    other = jnp.ones(numbers, jnp.float32)
    # In place, because new memory would come from the system page by page, which would be measured too.
    add = jax.jit(lambda array, other: array + 2.0 * other, donate_argnums=0)

    def work(count: int) -> object:
        for _ in range(count):
            state["array"] = add(state["array"], other)
        return jax.block_until_ready(state["array"])

    return rates(3.0 * array_bytes, seconds_each(work, extent.window_seconds, extent.repeats))
