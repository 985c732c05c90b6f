"""How much is measured: all of it in a few minutes, or a quick look."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """How much is measured, and for how long.

    Attributes:
        name: of this extent.
        rungs: of the ladder, by name.
        scaling_rungs: whose steps are counted over lanes and devices.
        repeats: samples of every time that is short, of which the median is told.
        window_seconds: that a sample of many steps should take.
        rung_seconds: that the steps of a rung may take; where more is predicted, fewer samples are taken.
        step_seconds: a rung whose single step is predicted to take longer is not measured, and the report says so.
        compile_repeats: samples of a compilation, each into an empty cache.
        compile_seconds: once the compilations of a rung have taken so long, the samples must do.
        matrix_seconds: a matrix product that is predicted to take longer is not tried.
        array_mebibytes: size of each array that the bandwidth is measured with.
        individuals: of a short evolution.
        evolution_repeats: how often it is evolved, each time with an empty cache.
    """

    name: str
    rungs: tuple[str, ...]
    scaling_rungs: tuple[str, ...]
    repeats: int
    window_seconds: float
    rung_seconds: float
    step_seconds: float
    compile_repeats: int
    compile_seconds: float
    matrix_seconds: float
    array_mebibytes: int
    individuals: int
    evolution_repeats: int


FULL = Extent(
    name="full",
    rungs=("linear", "conv 1", "conv 3", "conv 6", "conv 10", "ResNet-20", "ResNet-20 wide"),
    scaling_rungs=("conv 3", "ResNet-20"),
    repeats=5,
    window_seconds=0.5,
    rung_seconds=20.0,
    step_seconds=4.0,
    compile_repeats=3,
    compile_seconds=15.0,
    matrix_seconds=0.5,
    array_mebibytes=256,
    individuals=100,
    evolution_repeats=3,
)
QUICK = Extent(
    name="quick",
    rungs=("linear", "conv 1", "conv 3", "conv 6"),
    scaling_rungs=("conv 3",),
    repeats=3,
    window_seconds=0.3,
    rung_seconds=4.0,
    step_seconds=1.0,
    compile_repeats=1,
    compile_seconds=4.0,
    matrix_seconds=0.1,
    array_mebibytes=128,
    individuals=64,
    evolution_repeats=1,
)
