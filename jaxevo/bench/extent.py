"""The extent of a benchmark: a full one of a few minutes, or a quick one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """The extent of a benchmark.

    Attributes:
        name: name of the extent.
        rungs: names of the rungs to measure.
        scaling_rungs: names of the rungs for scaling over lanes and devices.
        batch_rungs: names of the rungs for batch sizes.
        batch_sizes: batch sizes to measure them with.
        repeats: samples per short measurement, of which the median is reported.
        window_seconds: target duration of a sample of many steps.
        rung_seconds: time budget for the steps of a rung; if more is predicted, fewer samples are taken.
        step_seconds: longest predicted step; a slower rung is not measured, and the report says so.
        compile_repeats: samples of a compilation, each with an empty cache.
        compile_seconds: time after which no further sample of a compilation is taken, of a rung or a number of threads.
        architectures_per_thread: architectures that each of several compiling threads compiles in a sample.
        matrix_seconds: longest predicted matrix product to try.
        array_mebibytes: size of each array to measure the bandwidth with.
        individuals: number of individuals of the short evolution.
        evolution_repeats: number of short evolutions, each with an empty cache.
    """

    name: str
    rungs: tuple[str, ...]
    scaling_rungs: tuple[str, ...]
    batch_rungs: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    repeats: int
    window_seconds: float
    rung_seconds: float
    step_seconds: float
    compile_repeats: int
    compile_seconds: float
    architectures_per_thread: int
    matrix_seconds: float
    array_mebibytes: int
    individuals: int
    evolution_repeats: int


FULL = Extent(
    name="full",
    rungs=("linear", "conv 1", "conv 3", "conv 6", "conv 10", "ResNet-20", "ResNet-20 wide"),
    scaling_rungs=("conv 3", "ResNet-20"),
    batch_rungs=("conv 3", "ResNet-20"),
    batch_sizes=(50, 128, 512),
    repeats=5,
    window_seconds=0.5,
    rung_seconds=20.0,
    step_seconds=4.0,
    compile_repeats=3,
    compile_seconds=15.0,
    architectures_per_thread=3,
    matrix_seconds=0.5,
    array_mebibytes=256,
    individuals=100,
    evolution_repeats=3,
)
QUICK = Extent(
    name="quick",
    rungs=("linear", "conv 1", "conv 3", "conv 6"),
    scaling_rungs=("conv 3",),
    batch_rungs=("conv 1", "conv 3"),
    batch_sizes=(50, 128, 512),
    repeats=3,
    window_seconds=0.3,
    rung_seconds=4.0,
    step_seconds=1.0,
    compile_repeats=1,
    compile_seconds=4.0,
    architectures_per_thread=2,
    matrix_seconds=0.1,
    array_mebibytes=128,
    individuals=64,
    evolution_repeats=1,
)
