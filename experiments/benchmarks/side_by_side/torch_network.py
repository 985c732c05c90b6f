"""The network of an architecture as a `torch.nn.Module`; with equal weights it gives the logits of the Flax module."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Activation
from jaxevo.spaces.large_scale.layer_types.convolution import PlacedConvolution
from jaxevo.spaces.network_space import Variables

_EPSILON = 1e-5
"""Added to the variance in batch normalisation; Flax's default."""


class TorchNetwork(nn.Module):
    """The network of an architecture, `[batch, channels, height, width] -> [batch, classes]`.

    Its modules have the names of the Flax module's. All that depends on shapes alone is worked out in the constructor,
    so that a forward pass does little but call kernels.
    """

    def __init__(self, architecture: Architecture, num_classes: int, batch_norm_decay: float = 0.9) -> None:
        """Makes the modules, with He-normal filters and classifier (He et al. 2015) as in jaxevo."""
        super().__init__()
        shapes = architecture.shapes
        self._steps: list[tuple[str | None, list[tuple[int, Callable[[Any], Any]]], str | None]] = []
        for position, layer in enumerate(architecture.layers, start=1):
            convolution = normalisation = None
            operation = layer.operation
            if isinstance(operation, PlacedConvolution):
                convolution = f"convolution_{position}"
                module = same_convolution(operation)
                self.add_module(convolution, module)
            if layer.activation is Activation.BATCH_NORM_RELU:
                normalisation = f"batch_norm_{position}"
                self.add_module(
                    normalisation, nn.BatchNorm2d(operation.shape[2], eps=_EPSILON, momentum=1 - batch_norm_decay)
                )
            skips = [
                (source, fitting(shapes[source], shapes[position]))
                for source, target in architecture.skips
                if target == position
            ]
            self._steps.append((convolution, skips, normalisation))
        self.classifier = nn.Linear(shapes[-1][2], num_classes)
        nn.init.zeros_(self.classifier.bias)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns logits, float32 [batch, classes], of images float32 [batch, channels, height, width]."""
        points = [images]
        for convolution, skips, normalisation in self._steps:
            point = points[-1]
            if convolution is not None:
                point = self._modules[convolution](point)
            for source, fit in skips:
                point = point + fit(points[source])
            if normalisation is not None:
                point = functional.relu(self._modules[normalisation](point), inplace=True)
            points.append(point)
        return self.classifier(points[-1].mean(dim=(2, 3)))

    def filters(self) -> list[torch.Tensor]:
        """Returns the filters of the convolutions, which alone decay."""
        return [module.weight for module in self.modules() if isinstance(module, nn.Conv2d)]


def same_convolution(operation: PlacedConvolution) -> nn.Conv2d | nn.Sequential:
    """Returns a convolution with XLA's SAME padding: ceil(size / stride) outputs, an odd pixel of padding last."""
    filter_shape, stride = operation.filter_shape, operation.stride
    height, width, input_channels = operation.input_shape
    before_after = [
        _padding(size, filter_size, stride) for size, filter_size in zip((height, width), filter_shape, strict=True)
    ]
    even = all(before == after for before, after in before_after)
    padding = tuple(before for before, _ in before_after) if even else 0
    convolution = nn.Conv2d(
        input_channels, operation.shape[2], filter_shape, stride=stride, padding=padding, bias=False
    )
    if even:
        return convolution
    (top, bottom), (left, right) = before_after
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), convolution)


def fitting(source: ImageShape, target: ImageShape) -> Callable[[Any], Any]:
    """Returns a function that fits a skip's activations to a shape: nearest neighbour, channels cut or zero-padded."""
    picks = [_nearest(before, after) for before, after in zip(source[:2], target[:2], strict=True)]
    channels, missing = min(source[2], target[2]), max(0, target[2] - source[2])

    def fit(point: torch.Tensor) -> torch.Tensor:
        for axis, pick in enumerate(picks, start=2):
            if isinstance(pick, slice):
                point = point[:, :, pick] if axis == 2 else point[:, :, :, pick]
            else:
                point = point.index_select(axis, pick)
        point = point[:, :channels]
        return functional.pad(point, (0, 0, 0, 0, 0, missing)) if missing else point

    return (lambda point: point) if source == target else fit


def load_variables(network: TorchNetwork, variables: Variables) -> None:
    """Copies the variables of the Flax module into the network."""
    with torch.no_grad():
        for collection, module, name, tensor in _tensors(network):
            tensor.copy_(torch.from_numpy(np.array(variables[collection][module][name])))


def read_variables(network: TorchNetwork) -> Variables:
    """Returns the network's arrays as variables of the Flax module."""
    variables: Variables = {"params": {}, "batch_stats": {}}
    for collection, module, name, tensor in _tensors(network):
        variables[collection].setdefault(module, {})[name] = tensor.detach().numpy().copy()
    return variables


def _tensors(network: TorchNetwork) -> Iterator[tuple[str, str, str, torch.Tensor]]:
    """Yields every tensor with its collection, module and name in Flax, as a view with Flax's order of axes."""
    for name, module in network.named_children():
        if isinstance(module, nn.Linear):
            yield "params", name, "kernel", module.weight.T
            yield "params", name, "bias", module.bias
        elif isinstance(module, nn.BatchNorm2d):
            yield "params", name, "scale", module.weight
            yield "params", name, "bias", module.bias
            yield "batch_stats", name, "mean", module.running_mean
            yield "batch_stats", name, "var", module.running_var
        else:
            convolution = module[-1] if isinstance(module, nn.Sequential) else module
            yield "params", name, "kernel", convolution.weight.permute(2, 3, 1, 0)


def _padding(size: int, filter_size: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + filter_size - size, 0)
    return total // 2, total - total // 2


def _nearest(size: int, wanted: int) -> slice | torch.Tensor:
    """Returns the rows of the nearest neighbours by half-pixel centres, as a slice if they are evenly spaced."""
    rows = [(2 * row + 1) * size // (2 * wanted) for row in range(wanted)]
    steps = {after - before for before, after in itertools.pairwise(rows)}
    if len(steps) <= 1:
        return slice(rows[0], rows[-1] + 1, steps.pop() if steps else 1)
    return torch.tensor(rows)
