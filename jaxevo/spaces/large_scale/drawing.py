"""The drawing of a genotype as boxes and edges."""

from jaxevo.search.space import Box, Drawing, Task
from jaxevo.spaces.large_scale.genotype import Activation, Genotype


def draw(genotype: Genotype, task: Task) -> Drawing:
    """Returns one box for the image, each layer and the classifier, and an edge for the backbone and each skip."""
    shape = task.image_shape
    boxes = [Box("image", "", shape, "Input")]
    for layer in genotype.layers:
        operation = layer.operation.at(shape)
        shape = operation.shape
        normalised = layer.activation is Activation.BATCH_NORM_RELU
        detail = f"{operation.detail}, BN + ReLU" if normalised else operation.detail
        # The labels and the shading of figure 1 of Real et al. 2017.
        label = f"{layer.operation.name[0].upper()}{'+BN+R' if normalised else ''}"
        boxes.append(Box(f"layer {layer.id}", detail, shape, label, normalised))
    boxes.append(Box("pool, classifier", "", (task.num_classes,), "Global Pool"))
    places = {point: place for place, point in enumerate(genotype.points)}
    backbone = [(place, place + 1) for place in range(len(boxes) - 1)]
    skips = [(places[source], places[target]) for source, target in genotype.skips]
    return Drawing(tuple(boxes), (*backbone, *skips), f"learning rate {genotype.learning_rate:.4g}")
