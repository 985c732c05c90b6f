"""L-BFGS in NumPy: minimises a smooth function whose value and gradient are known."""

from collections import deque
from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Returns the value and the gradient at a point."""

_MEMORY = 10
"""Pairs of steps and gradient changes that are remembered."""
_SUFFICIENT_DECREASE = 1e-4
_RELATIVE_TOLERANCE = 1e-6


def minimise(objective: Objective, start: np.ndarray, evaluations: int) -> np.ndarray:
    """Minimises a function by limited-memory BFGS with backtracking (Nocedal and Wright 2006, algorithm 7.5).

    Args:
        objective: the function, with a gradient of the point's shape and dtype.
        start: the first point.
        evaluations: calls of `objective` at most, 1 or more.

    Returns:
        The best point found. The search ends early if a step improves the value by less than a millionth of it.
    """
    point = start
    value, gradient = objective(point)
    pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_MEMORY)
    used = 1
    while used < evaluations:
        direction = _direction(gradient, pairs)
        slope = _dot(gradient, direction)
        length = 1.0
        while used < evaluations:
            following = point + np.asarray(length, point.dtype) * direction
            new_value, new_gradient = objective(following)
            used += 1
            if new_value <= value + _SUFFICIENT_DECREASE * length * slope:
                break
            length /= 2
        else:
            return point
        step, change = following - point, new_gradient - gradient
        # Without positive curvature the next direction might lead upwards.
        if _dot(step, change) > 1e-10 * _dot(change, change):
            pairs.append((step, change))
        gained = value - new_value
        point, value, gradient = following, new_value, new_gradient
        if gained < _RELATIVE_TOLERANCE * abs(value):
            break
    return point


def _direction(gradient: np.ndarray, pairs: deque[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Returns the descent direction: minus the gradient, times the remembered inverse curvature."""
    if not pairs:
        return -gradient / np.maximum(1, np.linalg.norm(gradient)).astype(gradient.dtype)
    rest, parts = gradient, []
    for step, change in reversed(pairs):
        part = _dot(step, rest) / _dot(step, change)
        rest = rest - np.asarray(part, rest.dtype) * change
        parts.append(part)
    step, change = pairs[-1]
    rest = rest * np.asarray(_dot(step, change) / _dot(change, change), rest.dtype)
    for (step, change), part in zip(pairs, reversed(parts), strict=True):
        correction = part - _dot(change, rest) / _dot(step, change)
        rest = rest + np.asarray(correction, rest.dtype) * step
    return -rest


def _dot(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.vdot(first, second))
