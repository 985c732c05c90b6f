"""Parameters, FLOPs and memory of an individual, computed from its architecture alone.

FLOPs of convolutions count the taps inside the image, as XLA's cost analysis does: SAME padding is never multiplied. No
gradient is counted for an input that depends on no parameter. The counts of convolutions and of the classifier's matrix
products equal XLA's exactly; those of elementwise operations (normalising, adding, pooling) are estimates.

Memory assumes float32, whatever a network computes in: with bfloat16 XLA may keep an activation in both. On CPU it then
takes from half to 1.4 times as much, which the estimate covers; an accelerator may need less. Memory also assumes XLA's
own convolutions: in training on CPU, a convolution by rows (`jaxevo.layers.convolution`) takes up to 8 KiB more for
each row of each image of a batch, and one of few channels up to 144 bytes more for each pixel.
"""

import functools
import math

from jaxevo.search.space import Cost
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Activation
from jaxevo.spaces.large_scale.layer_types.operation import Arrays, elements

_FLOAT_BYTES = 4
# Operations per element: batch normalisation takes mean, variance, scaling and offset; its gradient about twice that.
_BATCH_NORM_RELU_FORWARD = 10
_BATCH_NORM_RELU_BACKWARD = 20
# Parameters, their gradients, momentum, and the update in flight.
_COPIES_OF_PARAMETERS = 4


@functools.lru_cache(maxsize=4_096)
def cost(architecture: Architecture, num_classes: int, batch_size: int, evaluation_batch_size: int = 0) -> Cost:
    """Returns the cost of an architecture.

    Args:
        architecture: of the individual.
        num_classes: number of classes.
        batch_size: images per training batch.
        evaluation_batch_size: images per evaluation batch, 0 to leave evaluation out.
    """
    shapes = architecture.shapes
    parameters = forward_matrix = backward_matrix = forward_elements = backward_elements = stored = 0
    trainable = [False]  # Per point: True if it depends on a parameter, and so passes gradients on.
    for position, layer in enumerate(architecture.layers, start=1):
        shape, size = shapes[position], elements(shapes[position])
        sources = [source for source, target in architecture.skips if target == position]
        depends = trainable[-1]  # All points after a trainable one are trainable, whatever skips enter.
        own = _parameters(layer.operation.arrays)
        parameters += own
        depends = depends or own > 0
        stored += layer.operation.stored
        matrix, single = layer.operation.matrix_flops, layer.operation.element_flops
        forward_matrix += matrix.forward
        backward_matrix += matrix.backward + (matrix.backward_input if trainable[-1] else 0)
        forward_elements += single.forward + size * len(sources)
        backward_elements += single.backward + (single.backward_input if trainable[-1] else 0)
        backward_elements += size * sum(trainable[source] for source in sources)
        if layer.activation is Activation.BATCH_NORM_RELU:
            parameters += 2 * shape[2]
            forward_elements += _BATCH_NORM_RELU_FORWARD * size
            backward_elements += _BATCH_NORM_RELU_BACKWARD * size
            depends = True
            stored += 2 * size
        trainable.append(depends)
    channels, pooled = shapes[-1][2], elements(shapes[-1])
    parameters += channels * num_classes + num_classes
    classifier = 2 * channels * num_classes
    forward_matrix += classifier
    backward_matrix += classifier * (2 if trainable[-1] else 1)
    forward_elements += pooled
    backward_elements += pooled if trainable[-1] else 0
    # In the backward pass the largest activations and their gradients are in memory together.
    activations = elements(shapes[0]) + stored + 2 * max(elements(shape) for shape in shapes)
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
    """Returns the most elements per image that are in memory at once in a forward pass.

    They are a layer's input, its output before and after normalisation, and the points that later skips still need.
    """
    shapes, most = architecture.shapes, 0
    for position in range(1, len(shapes)):
        kept = {position - 1} | {source for source, target in architecture.skips if source < position <= target}
        most = max(most, sum(elements(shapes[point]) for point in kept) + 2 * elements(shapes[position]))
    return max(most, 2 * elements(shapes[0]))


def _parameters(arrays: Arrays) -> int:
    return sum(math.prod(shape) for module in arrays.values() for shape in module.values())
