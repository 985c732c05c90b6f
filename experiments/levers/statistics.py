"""The exact sign-flip test of paired differences, and the interval that belongs to it.

If two arms are alike, each pair's difference could as well have had the other sign. So all 2^n choices of signs are
equally likely, and the test counts those whose mean is at least as far from 0 as the one observed. The interval holds
every shift of the differences that the test does not reject. Both are exact for any symmetric distribution, and the
interval's ends are means of subsets of the differences (Hartigan 1969, "Using subsample values as typical values").
"""

from collections.abc import Sequence

import numpy as np

from jaxevo.reports.page.comparison import MOST_PAIRS, sign_flip_test

_ROUNDING = 1e-12


def sign_flip_p(differences: Sequence[float]) -> float:
    """Returns the two-sided p-value of the exact sign-flip test, in (0, 1]; 1 to 20 differences.

    Raises:
        ValueError: for another number of differences.
    """
    tested = sign_flip_test(differences)
    if tested is None:
        raise ValueError(_wrong_count(differences))
    return tested[0]


def interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Returns the least and the greatest mean difference that the test does not reject, 1 to 20 differences.

    Returns:
        None if there are too few pairs to reject any, at 0.95 fewer than six.

    Raises:
        ValueError: for another number of differences.
    """
    subsets = _subsets(differences)[1:]
    means = np.sort(subsets @ np.asarray(differences, float) / subsets.sum(axis=1))
    place = int((1 - confidence) * (len(means) + 1) / 2 + _ROUNDING)
    return (float(means[place - 1]), float(means[-place])) if place else None


def _subsets(differences: Sequence[float]) -> np.ndarray:
    """Returns a row for each subset of n differences, bool [2^n, n], the empty one first and the full one last."""
    count = len(differences)
    if not 1 <= count <= MOST_PAIRS:
        raise ValueError(_wrong_count(differences))
    return (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1


def _wrong_count(differences: Sequence[float]) -> str:
    return f"there are {len(differences)} pairs, but there must be 1 to {MOST_PAIRS}"
