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
import math

from jaxevo.search.space import Cost
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Activation
from jaxevo.spaces.large_scale.layer_types.operation import Arrays, elements

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
        shape, size = shapes[position], elements(shapes[position])
        sources = [source for source, target in architecture.skips if target == position]
        depends = trainable[-1]  # So are all points behind a trainable one, whatever skips enter.
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
    # While gradients flow, the largest activations stand beside their gradients.
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
    """Returns how many elements of an image stand in memory at once in a forward pass.

    They are the input of a layer, its output with and without normalisation, and what later skips still need.
    """
    shapes, most = architecture.shapes, 0
    for position in range(1, len(shapes)):
        kept = {position - 1} | {source for source, target in architecture.skips if source < position <= target}
        most = max(most, sum(elements(shapes[point]) for point in kept) + 2 * elements(shapes[position]))
    return max(most, 2 * elements(shapes[0]))


def _parameters(arrays: Arrays) -> int:
    return sum(math.prod(shape) for module in arrays.values() for shape in module.values())
