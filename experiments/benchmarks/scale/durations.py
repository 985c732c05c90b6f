"""A model of training times: a floor, compiling if the architecture is new, and FLOPs over a rate, times noise."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Durations:
    """A model of training times.

    Attributes:
        floor: seconds of every training.
        compile_seconds: additional seconds of the first training of an architecture.
        rate: FLOPs a second.
    """

    floor: float
    compile_seconds: float
    rate: float

    def seconds(self, flops: float, new: bool, noise: float) -> float:
        """Returns the seconds of a training.

        Args:
            flops: of training and validation.
            new: True if its architecture must be compiled.
            noise: drawn from a normal distribution of mean 0, whose deviation is the sigma of the log-normal noise.
        """
        return self.without_noise(flops, new) * math.exp(noise)

    def without_noise(self, flops: Any, new: Any) -> Any:
        """Returns the median seconds of trainings; arrays give an array."""
        return self.floor + self.compile_seconds * new + flops / self.rate


@dataclass(frozen=True)
class Fit:
    """A fit of the model to a recorded run.

    Attributes:
        durations: the fitted model.
        sigma: standard deviation of the logarithm of training times around the model, without compiling.
        share_new: share of the individuals that compiled, in [0, 1].
        individuals: number of individuals.
    """

    durations: Durations
    sigma: float
    share_new: float
    individuals: int


def fit(workdir: Path) -> Fit:
    """Fits the model to a run by least squares.

    Raises:
        ValueError: if the folder holds no run, or the times do not grow with FLOPs.
    """
    import jaxevo

    history = jaxevo.open(workdir).history
    return fit_times(*(history[name].to_numpy(float) for name in ("flops", "train_seconds", "compile_seconds")))


def fit_times(flops: np.ndarray, train_seconds: np.ndarray, compile_seconds: np.ndarray) -> Fit:
    """Fits the model to times, float [individuals] each.

    Raises:
        ValueError: if the times do not grow with FLOPs.
    """
    terms = np.stack([np.ones_like(flops), flops], axis=1)
    (floor, slope), *_ = np.linalg.lstsq(terms, train_seconds, rcond=None)
    if not (slope > 0 and floor > 0):
        raise ValueError(
            f"the fitted floor is {floor:.3g} s and each FLOP takes {slope:.3g} s, but both must be above 0"
        )
    new = compile_seconds > 0
    durations = Durations(float(floor), float(compile_seconds[new].mean()) if new.any() else 0.0, float(1 / slope))
    sigma = float(np.std(np.log(train_seconds) - np.log(terms @ (floor, slope))))
    return Fit(durations, sigma, float(new.mean()), len(flops))
