"""Learning rate schedules within one training, as arrays made on the host.

A compiled program indexes the array by the absolute step, so neither chunks nor checkpoints change what it computes.
"""

import numpy as np

from jaxevo.settings import ScheduleName

_COSINE_WARMUP = 0.05
_ONE_CYCLE_WARMUP = 0.3
_ONE_CYCLE_START = 1 / 25


def learning_rates(schedule: ScheduleName, peak: float, steps: int) -> np.ndarray:
    """Returns the learning rate of every step, float32 [steps].

    Args:
        schedule: constant: `peak` throughout. cosine: a linear warm-up over a twentieth of the steps, then half a
            cosine towards 0 (Loshchilov and Hutter 2017). one_cycle: linear from a twenty-fifth of the peak to the peak
            over three tenths of the steps, then half a cosine towards 0 (Smith and Topin 2018).
        peak: the highest learning rate. One that float32 cannot hold becomes infinite: the training then fails.
        steps: length of the training.
    """
    if schedule == "constant":
        shape = np.ones(steps)
    elif schedule == "cosine":
        shape = _warmup_cosine(steps, round(_COSINE_WARMUP * steps), 0.0)
    else:
        shape = _warmup_cosine(steps, round(_ONE_CYCLE_WARMUP * steps), _ONE_CYCLE_START)
    with np.errstate(over="ignore"):
        return (peak * shape).astype(np.float32)


def _warmup_cosine(steps: int, warmup: int, first: float) -> np.ndarray:
    """Returns a linear rise from above `first` to 1 over the warm-up steps, then half a cosine towards 0."""
    rise = first + (1 - first) * np.arange(1, warmup + 1) / (warmup + 1)
    fall = 0.5 * (1 + np.cos(np.pi * np.arange(steps - warmup) / max(1, steps - warmup)))
    return np.concatenate([rise, fall])
