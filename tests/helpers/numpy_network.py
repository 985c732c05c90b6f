"""What a genotype computes, in plain NumPy: the reference for the Flax modules.

It works from the genotype with all of its layers, in float64 and by index, and knows neither architectures nor JAX.
"""

from typing import NamedTuple

import numpy as np

from jaxevo.spaces.large_scale.genotype import IMAGE, Activation, Genotype
from jaxevo.spaces.large_scale.layer_types import Convolution

EPSILON = 1e-5
"""What batch normalisation adds to the variance, as Flax does by default."""


class Pass(NamedTuple):
    """What a forward pass computes.

    Attributes:
        points: activations [batch, height, width, channels] by the id of the backbone's point, the image included.
        logits: [batch, classes].
        statistics: batch mean and variance of what each batch normalisation was given, by layer id.
    """

    points: dict[int, np.ndarray]
    logits: np.ndarray
    statistics: dict[int, tuple[np.ndarray, np.ndarray]]


def forward(genotype: Genotype, variables: dict, images: np.ndarray, train: bool = False) -> Pass:
    """Returns the forward pass of a genotype whose network has these variables."""
    filters, normalisations = arrays_by_layer(genotype, variables)
    points = {IMAGE: images.astype(np.float64)}
    statistics = {}
    point = points[IMAGE]
    for layer in genotype.layers:
        if isinstance(layer.operation, Convolution):
            point = convolve(point, filters[layer.id], 2**layer.operation.log2_stride)
        for source, target in genotype.skips:
            if target == layer.id:
                point = point + fitted(points[source], point.shape)
        if layer.activation is Activation.BATCH_NORM_RELU:
            arrays = normalisations[layer.id]
            statistics[layer.id] = point.mean(axis=(0, 1, 2)), point.var(axis=(0, 1, 2))
            mean, variance = statistics[layer.id] if train else (arrays["mean"], arrays["var"])
            normal = (point - mean) / np.sqrt(variance + EPSILON)
            point = np.maximum(normal * arrays["scale"] + arrays["bias"], 0)
        points[layer.id] = point
    classifier = variables["params"]["classifier"]
    logits = point.mean(axis=(1, 2)) @ np.asarray(classifier["kernel"], float) + classifier["bias"]
    return Pass(points, logits, statistics)


def convolve(point: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Returns a convolution with SAME padding: ceil(size / stride) outputs, an odd rest of the padding behind."""
    kernel = np.asarray(kernel, float)
    sizes, paddings = [], [(0, 0)]
    for size, filter_size in zip(point.shape[1:3], kernel.shape[:2], strict=True):
        outputs = -(-size // stride)
        padding = max((outputs - 1) * stride + filter_size - size, 0)
        sizes.append(outputs)
        paddings.append((padding // 2, padding - padding // 2))
    padded = np.pad(point, (*paddings, (0, 0)))
    result = np.zeros((point.shape[0], *sizes, kernel.shape[3]))
    for row in range(sizes[0]):
        for column in range(sizes[1]):
            top, left = row * stride, column * stride
            window = padded[:, top : top + kernel.shape[0], left : left + kernel.shape[1]]
            result[:, row, column] = np.einsum("bhwi,hwio->bo", window, kernel)
    return result


def fitted(point: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a skip's activations in a shape: the nearest pixel by its centre, channels cut or filled with zeros."""
    result = np.zeros(shape)
    channels = min(shape[3], point.shape[3])
    for row in range(shape[1]):
        for column in range(shape[2]):
            # The centre of pixel r of n lies at (r + 1/2) / n of the way; whole numbers make it exact.
            source_row = (2 * row + 1) * point.shape[1] // (2 * shape[1])
            source_column = (2 * column + 1) * point.shape[2] // (2 * shape[2])
            result[:, row, column, :channels] = point[:, source_row, source_column, :channels]
    return result


def arrays_by_layer(genotype: Genotype, variables: dict) -> tuple[dict, dict]:
    """Returns filters and arrays of batch normalisation by layer id.

    The network's k-th convolution is the genotype's k-th, and so for the normalisations, whatever stands between.
    """
    convolutions = _in_order(variables["params"], "convolution_")
    normalisations = [
        {**variables["params"][module], **variables["batch_stats"][module]}
        for module in _in_order(variables["params"], "batch_norm_")
    ]
    with_filters = [layer.id for layer in genotype.layers if isinstance(layer.operation, Convolution)]
    normalised = [layer.id for layer in genotype.layers if layer.activation is Activation.BATCH_NORM_RELU]
    filters = [variables["params"][module]["kernel"] for module in convolutions]
    return (
        dict(zip(with_filters, filters, strict=True)),
        dict(zip(normalised, normalisations, strict=True)),
    )


def random_variables(shapes: dict, seed: int) -> dict:
    """Returns variables of these shapes, float32, none of which could be left out without being missed."""
    generator = np.random.default_rng(seed)
    variables: dict = {}
    for collection, modules in shapes.items():
        variables[collection] = {}
        for module, arrays in modules.items():
            variables[collection][module] = {
                name: _random_array(generator, name, array.shape) for name, array in arrays.items()
            }
    return variables


def _random_array(generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name in ("scale", "var"):
        return generator.uniform(0.5, 2.0, shape).astype(np.float32)
    spread = np.sqrt(2 / np.prod(shape[:-1])) if name == "kernel" else 0.5
    return (spread * generator.standard_normal(shape)).astype(np.float32)


def _in_order(modules: dict, prefix: str) -> list[str]:
    return sorted(
        (module for module in modules if module.startswith(prefix)),
        key=lambda module: int(module.removeprefix(prefix)),
    )
