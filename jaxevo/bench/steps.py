"""Measure the seconds of a training step, in whole calls of the compiled program."""

import dataclasses

import jax

from jaxevo.bench import ladder
from jaxevo.bench.extent import Extent
from jaxevo.bench.timing import Spread, seconds_each
from jaxevo.networks.trainer import Training

# Share of the peak for predictions: the least that a network of the ladder reached, unless overhead dominated.
_PREDICTED_SHARE = 0.25
_FEWEST_SAMPLES = 2


def predicted_seconds(flops: float, peak_flops: float) -> float:
    """Returns the seconds that FLOPs are predicted to take on a device with a measured peak of FLOPs per second."""
    return flops / (_PREDICTED_SHARE * peak_flops)


def too_long(extent: Extent, step_seconds: float) -> str | None:
    """Returns why a step of so many predicted seconds is not measured, None if it is."""
    if step_seconds <= extent.step_seconds:
        return None
    return f"a step is predicted to take {step_seconds:.1f} s, more than {extent.step_seconds:.1f} s"


def samples_within(extent: Extent, seconds: float) -> int:
    """Returns the number of samples to take, given the predicted seconds of one, more than 0."""
    return max(_FEWEST_SAMPLES, min(extent.repeats, int(extent.rung_seconds / seconds)))


def steps_a_unit(training: Training) -> int:
    """Returns the steps that cannot be measured apart: on accelerators a chunk, which always runs as a whole."""
    return 1 if jax.local_devices()[0].platform == "cpu" else training.steps_a_call


def seconds_a_step(extent: Extent, training: Training, predicted: float | None = None) -> Spread:
    """Returns the seconds per step of a training.

    Args:
        extent: extent of the benchmark.
        training: training to repeat.
        predicted: predicted seconds per step, which limit the number of samples; None for no limit.
    """
    unit = steps_a_unit(training)
    repeats = extent.repeats if predicted is None else samples_within(extent, unit * predicted)
    most = ladder.PLANNED_STEPS // unit
    seconds = seconds_each(lambda units: training.repeat(unit * units), extent.window_seconds, repeats, most)
    return dataclasses.replace(seconds, median=seconds.median / unit, min=seconds.min / unit, max=seconds.max / unit)
