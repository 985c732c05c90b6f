"""A genotype as boxes and edges."""

from jaxevo.search.space import Box, Drawing, Task
from jaxevo.spaces.large_scale.architecture import effective_stride
from jaxevo.spaces.large_scale.genotype import Activation, Convolution, Genotype, Identity, Layer


def draw(genotype: Genotype, task: Task) -> Drawing:
    """Returns one box for the image, each layer and the classifier, and an edge for the backbone and each skip."""
    shape = task.image_shape
    boxes = [Box("image", "", shape)]
    for layer, channels in zip(genotype.layers, genotype.channels(shape[2])[1:], strict=True):
        stride = 1
        if isinstance(layer.operation, Convolution):
            stride = effective_stride(layer.operation.log2_stride, max(shape[:2]))
        shape = -(-shape[0] // stride), -(-shape[1] // stride), channels
        boxes.append(Box(f"layer {layer.id}", _detail(layer, stride), shape))
    boxes.append(Box("pool, classifier", "", (task.num_classes,)))
    places = {point: place for place, point in enumerate(genotype.points)}
    backbone = [(place, place + 1) for place in range(len(boxes) - 1)]
    skips = [(places[source], places[target]) for source, target in genotype.skips]
    return Drawing(tuple(boxes), (*backbone, *skips), f"learning rate {genotype.learning_rate:.4g}")


def _detail(layer: Layer, stride: int) -> str:
    ending = ", BN + ReLU" if layer.activation is Activation.BATCH_NORM_RELU else ""
    if isinstance(layer.operation, Identity):
        return f"identity{ending}"
    height, width = layer.operation.filter_shape
    striding = f" / {stride}" if stride > 1 else ""
    return f"conv {height} x {width}{striding}{ending}"
