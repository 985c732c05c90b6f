"""Compares XLA's convolutions on CPU with matrix products.

    python -m experiments.benchmarks.convolutions

Prints processor time of a forward pass with both gradients for batches of 50, on one thread with the compiler options
of a run: by XLA, by rows (a banded matrix) and by pixels (filters of one pixel), as in `jaxevo.layers.convolution`. The
last column is what that module chooses if trainings are long. For results see docs/benchmarks.md.
"""

import statistics
from collections.abc import Callable
from typing import Any

from experiments.benchmarks.apart import processor_seconds
from experiments.benchmarks.markdown import table
from experiments.entry import exit_with, prepare, program
from jaxevo.settings import Settings

_BATCH = 50
_LONG = Settings(train_steps=2**20)
_SAMPLES = 7
_SAMPLE_SECONDS = 0.05
# Side of the image, channels, output channels, side of the filter, stride.
_CASES = (
    (8, 1, 4, 3, 1),
    (8, 5, 13, 5, 1),
    (8, 10, 10, 3, 1),
    (8, 20, 20, 3, 1),
    (4, 10, 20, 3, 1),
    (14, 2, 4, 3, 2),
    (14, 4, 8, 3, 1),
    (14, 8, 8, 3, 1),
    (28, 1, 2, 5, 2),
    (28, 1, 8, 3, 1),
    (28, 4, 4, 3, 1),
    (28, 4, 4, 7, 1),
    (28, 8, 8, 3, 1),
    (28, 16, 16, 3, 1),
    (32, 3, 16, 3, 1),
    (28, 4, 8, 1, 1),
    (28, 32, 32, 1, 2),
)


def main(arguments: list[str] | None = None) -> int:
    """Measures every case and prints the table; returns 0."""
    program("experiments.benchmarks.convolutions", __doc__).parse_args(arguments)
    prepare()
    header = ("image", "filter", "products a position", "XLA (compiling)", "ours (compiling)", "over XLA", "chosen")
    print(table(header, map(_row, _CASES)))
    return 0


def _row(case: tuple[int, int, int, int, int]) -> tuple[str, ...]:
    import jax
    import numpy as np

    from jaxevo.layers.convolution import by_pixels, by_rows, convolve_on

    size, channels, out_channels, filter_size, stride = case
    generator = np.random.default_rng(0)
    images = generator.standard_normal((_BATCH, size, size, channels)).astype(np.float32)
    kernel = generator.standard_normal((filter_size, filter_size, channels, out_channels)).astype(np.float32)
    strides, layout = (stride, stride), ("NHWC", "HWIO", "NHWC")

    def xla(images: Any, kernel: Any) -> Any:
        return jax.lax.conv_general_dilated(images, kernel, strides, "SAME", dimension_numbers=layout)

    def ours(images: Any, kernel: Any) -> Any:
        return (by_pixels if filter_size == 1 else by_rows)(images, kernel, strides)

    def chosen(images: Any, kernel: Any) -> Any:
        return convolve_on("cpu", _LONG)(images, kernel, strides, "SAME", dimension_numbers=layout)

    lowered = jax.jit(chosen).lower(images, kernel).as_text()
    xla_seconds, xla_compiling = _measured(xla, images, kernel)
    our_seconds, our_compiling = _measured(ours, images, kernel)
    products = filter_size * (1 if filter_size == 1 else size) * channels * out_channels
    return (
        f"{size} x {size} x {channels}",
        f"{filter_size} x {filter_size} / {stride}, {out_channels} channels",
        f"{products:,}",
        f"{1e6 * xla_seconds:,.0f} us ({1e3 * xla_compiling:.0f} ms)",
        f"{1e6 * our_seconds:,.0f} us ({1e3 * our_compiling:.0f} ms)",
        f"{our_seconds / xla_seconds:.2f}",
        "XLA" if "stablehlo.convolution" in lowered else "ours",
    )


def _measured(convolve: Callable[..., Any], images: Any, kernel: Any) -> tuple[float, float]:
    """Returns the processor seconds of a forward pass with both gradients, and of compiling it."""
    import jax
    import numpy as np

    cotangent = np.ones(jax.eval_shape(convolve, images, kernel).shape, np.float32)

    def forward_and_gradients(images: Any, kernel: Any, cotangent: Any) -> Any:
        value, gradients = jax.vjp(convolve, images, kernel)
        return value, gradients(cotangent)

    arguments = jax.device_put((images, kernel, cotangent))
    compiled, compiling = processor_seconds(lambda: jax.jit(forward_and_gradients).lower(*arguments).compile())

    def call(times: int) -> None:
        for _ in range(times):
            jax.block_until_ready(compiled(*arguments))

    def seconds_of(calls: int) -> float:
        return processor_seconds(lambda: call(calls))[1] / calls

    seconds_of(2)
    calls = max(2, round(_SAMPLE_SECONDS / seconds_of(2)))
    return statistics.median(seconds_of(calls) for _ in range(_SAMPLES)), compiling


if __name__ == "__main__":
    exit_with(main)
