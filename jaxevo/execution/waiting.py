"""The share of time that lanes wait for the next outcome, as measured with simulated lanes."""

import bisect

import numpy as np

BIRTHS_A_LANE = 4
"""Births in flight per lane with which up to 1,000 lanes hardly wait."""

# Measured by `python -m experiments.benchmarks.scale` (docs/scale.md): CPU lanes, log-normal noise of sigma
# 0.3, the default virtual clock. Each row is a number of lanes, each column a number of births in flight per lane, each
# entry a share in [0, 1].
_LANES = (1, 2, 10, 62, 250, 1_000, 10_000)
_BIRTHS = (1, 2, 3, 4, 8)
_SHARES = (
    (0.0, 0.0, 0.0, 0.0, 0.0),
    (0.155, 0.011, 0.0, 0.0, 0.0),
    (0.381, 0.046, 0.006, 0.0, 0.0),
    (0.534, 0.17, 0.026, 0.008, 0.0),
    (0.617, 0.3, 0.128, 0.0, 0.0),
    (0.628, 0.387, 0.064, 0.003, 0.0),
    (0.785, 0.525, 0.403, 0.146, 0.0),
)


def expected_idle_share(num_workers: int, lanes: int) -> float:
    """Returns the share of time in [0, 1] that lanes are expected to wait on the virtual clock.

    Args:
        num_workers: births in flight, 1 or more.
        lanes: number of lanes, 1 or more.
    """
    shares = _SHARES[min(bisect.bisect_left(_LANES, lanes), len(_LANES) - 1)]
    births_a_lane = num_workers / lanes
    if births_a_lane < 1:  # The surplus lanes have nothing to train.
        return 1 - births_a_lane * (1 - shares[0])
    return float(np.interp(births_a_lane, _BIRTHS, shares))
