"""What an individual costs: parameters, FLOPs and memory, counted from its architecture alone.

FLOPs of convolutions count the taps that fall inside the image, as XLA's own cost analysis does: SAME padding is never
multiplied. No gradient is counted for an input that depends on no parameter. The terms of convolutions and of the
classifier's matrix products equal XLA's count exactly; those of single elements (normalising, adding, pooling) are
estimates of operations an element.

Memory is that of float32, whatever a network computes in: with bfloat16 XLA may keep an activation in both. What it
compiles for CPU takes from half to 1.4 times as much then, which the estimate covers; an accelerator may need less.
It is that of XLA's own convolutions too: in training on CPU, one that is computed by rows (`jaxevo.layers.convolution`)
takes up to 8 KiB more for each row of each image of a batch.
"""

import functools

from jaxevo.search.space import Cost, ImageShape
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Activation

_FLOAT_BYTES = 4
# Operations an element: batch normalisation takes mean, variance, scaling and offset; its gradient about twice that.
_BATCH_NORM_RELU_FORWARD = 10
_BATCH_NORM_RELU_BACKWARD = 20
# Parameters, their gradients, momentum, and the update in flight.
_COPIES_OF_PARAMETERS = 4


@functools.lru_cache(maxsize=65_536)
def cost(architecture: Architecture, num_classes: int, batch_size: int, evaluation_batch_size: int = 0) -> Cost:
    """Returns the cost of an architecture.

    Args:
        architecture: to be trained.
        num_classes: classes that it tells apart.
        batch_size: images of a training step.
        evaluation_batch_size: images of a call of the evaluation, 0 to leave it out.
    """
    shapes = architecture.shapes
    parameters = forward_matrix = backward_matrix = forward_elements = backward_elements = stored = 0
    trainable = [False]  # whether a point depends on any parameter, and so passes gradients on
    for position, layer in enumerate(architecture.layers, start=1):
        shape, input_shape = shapes[position], shapes[position - 1]
        elements = _elements(shape)
        sources = [source for source, target in architecture.skips if target == position]
        depends = trainable[-1]  # So are all points behind a trainable one, whatever skips enter.
        if layer.filter_shape is not None:
            parameters += layer.filter_shape[0] * layer.filter_shape[1] * input_shape[2] * shape[2]
            flops = _convolution_flops(input_shape, layer.filter_shape, layer.stride, shape[2])
            forward_matrix += flops
            backward_matrix += flops * (2 if trainable[-1] else 1)
            depends = True
            stored += elements
        forward_elements += elements * len(sources)
        backward_elements += elements * sum(trainable[source] for source in sources)
        if layer.activation is Activation.BATCH_NORM_RELU:
            parameters += 2 * shape[2]
            forward_elements += _BATCH_NORM_RELU_FORWARD * elements
            backward_elements += _BATCH_NORM_RELU_BACKWARD * elements
            depends = True
            stored += 2 * elements
        trainable.append(depends)
    channels, pooled = shapes[-1][2], _elements(shapes[-1])
    parameters += channels * num_classes + num_classes
    classifier = 2 * channels * num_classes
    forward_matrix += classifier
    backward_matrix += classifier * (2 if trainable[-1] else 1)
    forward_elements += pooled
    backward_elements += pooled if trainable[-1] else 0
    # While gradients flow, the largest activations stand beside their gradients.
    activations = _elements(shapes[0]) + stored + 2 * max(_elements(shape) for shape in shapes)
    training = _FLOAT_BYTES * (_COPIES_OF_PARAMETERS * parameters + batch_size * activations)
    evaluation = _FLOAT_BYTES * (parameters + evaluation_batch_size * _evaluated_elements(architecture))
    return Cost(
        parameters=parameters,
        forward_flops=forward_matrix + forward_elements,
        backward_flops=backward_matrix + backward_elements,
        forward_matrix_flops=forward_matrix,
        backward_matrix_flops=backward_matrix,
        memory=max(training, evaluation),
    )


def _evaluated_elements(architecture: Architecture) -> int:
    """Returns how many elements of an image stand in memory at once in a forward pass.

    They are the input of a layer, its output with and without normalisation, and what later skips still need.
    """
    shapes, most = architecture.shapes, 0
    for position in range(1, len(shapes)):
        kept = {position - 1} | {source for source, target in architecture.skips if source < position <= target}
        most = max(most, sum(_elements(shapes[point]) for point in kept) + 2 * _elements(shapes[position]))
    return max(most, 2 * _elements(shapes[0]))


def _elements(shape: ImageShape) -> int:
    height, width, channels = shape
    return height * width * channels


def _convolution_flops(input_shape: ImageShape, filter_shape: tuple[int, int], stride: int, channels: int) -> int:
    height, width, input_channels = input_shape
    taps = _taps_inside(height, filter_shape[0], stride) * _taps_inside(width, filter_shape[1], stride)
    return 2 * taps * input_channels * channels


@functools.lru_cache(maxsize=4096)
def _taps_inside(size: int, filter_size: int, stride: int) -> int:
    """Returns how many filter taps, over all output positions of one axis, fall on the image (SAME padding)."""
    outputs = -(-size // stride)
    padding_before = max((outputs - 1) * stride + filter_size - size, 0) // 2
    starts = range(-padding_before, outputs * stride - padding_before, stride)
    return sum(min(start + filter_size, size) - max(start, 0) for start in starts)
