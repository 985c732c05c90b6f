"""Arrays of a child that computes what its parent does, where the mutation allows it (Wei et al. 2016).

| mutation | child before its training |
| --- | --- |
| wider layer, larger filters | exact: equal logits up to rounding; new channels enter the next layers at zero |
| inserted convolution of stride 1 with batch-norm + ReLU | near: equal in evaluation if its input is not negative |
| stride, removal, narrower layer, smaller filters, skips | not preserved: arrays overlap |
| first convolution | not preserved: all arrays are fresh |

Skips break exactness where they touch a changed point, since they carry new channels along. So do filters that were
smaller than their stride, since the larger ones look at other pixels.
"""

import math

import flax.linen as nn
import numpy as np

_EPSILON = np.float32(nn.BatchNorm.epsilon)

Moments = tuple[np.ndarray, np.ndarray]
"""Mean and variance of channels, float32 [channels] each."""


def overlapped(inherited: np.ndarray, fresh: np.ndarray, name: str, preserving: bool) -> np.ndarray:
    """Returns a changed array: inherited where the two overlap, filters about their centre, fresh elsewhere.

    Args:
        inherited: the parent's array.
        fresh: a fresh array of the child's shape, of the same rank.
        name: of the array; a kernel is [..., inputs, outputs].
        preserving: True if a kernel's new inputs and its new rim do not contribute to its old outputs.
    """
    child = fresh.copy()
    kept = [min(new, old) for new, old in zip(child.shape, inherited.shape, strict=True)]
    if name == "kernel" and preserving:
        child[..., : kept[-1]] = 0
    centred = child.ndim - 2 if name == "kernel" else 0
    target = [_slice(new, size, axis < centred) for axis, (new, size) in enumerate(zip(child.shape, kept, strict=True))]
    source = [
        _slice(old, size, axis < centred) for axis, (old, size) in enumerate(zip(inherited.shape, kept, strict=True))
    ]
    child[tuple(target)] = inherited[tuple(source)]
    return child


def passing_on(fresh: np.ndarray) -> np.ndarray:
    """Returns the kernel [height, width, inputs, outputs] of a convolution whose first outputs are its inputs."""
    height, width, inputs, outputs = fresh.shape
    same = range(min(inputs, outputs))
    kernel = fresh.copy()
    kernel[..., : len(same)] = 0
    kernel[height // 2, width // 2, same, same] = 1
    return kernel


def normalising_to(moments: Moments, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays of a batch normalisation that changes nothing of inputs with given moments.

    Args:
        moments: of the inputs; further channels keep their arrays.
        arrays: by name: scale, bias, mean, var.
    """
    mean, variance = moments
    same = min(len(mean), len(arrays["scale"]))
    changed = {name: array.copy() for name, array in arrays.items()}
    changed["scale"][:same] = np.sqrt(variance[:same] + _EPSILON)
    changed["bias"][:same] = changed["mean"][:same] = mean[:same]
    changed["var"][:same] = variance[:same]
    return changed


def rectified_moments(scale: np.ndarray, bias: np.ndarray) -> Moments:
    """Returns the moments of the ReLU of normal channels with these deviations and means, as batch-norm leaves them."""
    deviation = np.abs(scale.astype(np.float64)) + 1e-6
    ratio = bias / deviation
    above = np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in ratio])
    density = np.exp(-ratio * ratio / 2) / math.sqrt(2 * math.pi)
    mean = bias * above + deviation * density
    square = (bias * bias + deviation * deviation) * above + bias * deviation * density
    variance = np.maximum(square - mean * mean, 1e-6)
    return mean.astype(np.float32), variance.astype(np.float32)


def _slice(size: int, part: int, centred: bool) -> slice:
    first = (size - part) // 2 if centred else 0
    return slice(first, first + part)
