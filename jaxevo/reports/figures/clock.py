"""The horizontal axis of figures: individuals, FLOPs, or virtual time."""

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

if TYPE_CHECKING:
    import pandas

Clock = Literal["flops", "virtual", "individuals"]
"""What time is counted in: training FLOPs so far, the virtual clock, or individuals. None depends on the machine."""

_SECONDS = (("h", 3600.0, 2 * 3600.0), ("min", 60.0, 120.0), ("s", 1.0, 0.0))


class Axis(NamedTuple):
    """An axis of time.

    Attributes:
        label: its label, with the unit.
        unit: value of one on the axis, in FLOPs, seconds or individuals.
    """

    label: str
    unit: float


def times(history: "pandas.DataFrame", clock: Clock) -> np.ndarray:
    """Returns the time of each event of a history, in FLOPs, seconds or individuals.

    Raises:
        ValueError: if the clock is unknown, or the history is empty.
    """
    if clock not in get_args(Clock):
        raise ValueError(f"clock is {clock!r}, but must be one of {', '.join(get_args(Clock))}")
    if history.empty:
        raise ValueError("the history is empty: resume the run first")
    if clock == "flops":
        return np.cumsum(history["flops"].to_numpy(float))
    return history["virtual_seconds" if clock == "virtual" else "event"].to_numpy(float)


def axis_of(clock: Clock, last: float) -> Axis:
    """Returns the axis for times up to `last`, in a unit that keeps its numbers short."""
    if clock == "individuals":
        return Axis("individuals", 1.0)
    if clock == "virtual":
        name, unit = next((name, unit) for name, unit, least in _SECONDS if last >= least)
        return Axis(f"virtual time ({name})", unit)
    exponent = math.floor(math.log10(last / 1.5)) if last > 0 else 0
    return Axis(rf"training FLOPs so far ($10^{{{exponent}}}$)", 10.0**exponent)
