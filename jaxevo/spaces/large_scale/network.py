"""The Flax module of an architecture."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.layers.convolution import Convolve
from jaxevo.settings import ComputeDtype
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Activation
from jaxevo.spaces.large_scale.layer_types.operation import How


class Phenotype(nn.Module):
    """The network of an architecture.

    Its modules are named by kind and position: `convolution_1`, `batch_norm_1`, ..., `classifier`. Parameters and
    running statistics are float32, whatever `compute_dtype` is.

    Attributes:
        architecture: of the network.
        num_classes: width of the classifier.
        batch_norm_decay: of the running statistics.
        axis_name: of the devices that share a batch, over which its mean and variance are taken; None for one device.
        compute_dtype: of activations and of the products of convolutions and classifier. Means and variances of batch
            normalisation are computed in float32.
        convolve: the convolution function; all have the same result up to rounding.
        batch_norm: Flax's module, or a replacement with the same result up to rounding.
    """

    architecture: Architecture
    num_classes: int
    batch_norm_decay: float = 0.9
    axis_name: str | None = None
    compute_dtype: ComputeDtype = "float32"
    convolve: Convolve = jax.lax.conv_general_dilated
    batch_norm: type[nn.BatchNorm] = nn.BatchNorm

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        """Returns logits.

        Args:
            images: float32 [batch, height, width, channels].
            train: if True, normalise by batch statistics and update the running ones; else by the running ones.

        Returns:
            Logits, float32 [batch, num_classes].
        """
        chex.assert_shape(images, (None, *self.architecture.image_shape))
        dtype = jnp.dtype(self.compute_dtype)
        how = How(self.compute_dtype, self.convolve)
        points = [jnp.asarray(images, dtype)]
        for position, layer in enumerate(self.architecture.layers, start=1):
            point = layer.operation.apply(points[-1], position, how)
            for source, target in self.architecture.skips:
                if target == position:
                    point = point + fit(points[source], point.shape)
            if layer.activation is Activation.BATCH_NORM_RELU:
                normalisation = self.batch_norm(
                    use_running_average=not train,
                    momentum=self.batch_norm_decay,
                    axis_name=self.axis_name,
                    dtype=dtype,
                    name=f"batch_norm_{position}",
                )
                point = nn.relu(normalisation(point))
            points.append(point)
        # Logits rounded to bfloat16 would often tie, and a tie goes to the first class.
        product = functools.partial(jax.lax.dot_general, preferred_element_type=jnp.float32)
        classifier = nn.Dense(self.num_classes, dtype=dtype, dot_general=product, name="classifier")
        return classifier(points[-1].mean(axis=(1, 2)))


def fit(point: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns a skip's activations in the backbone's shape: nearest neighbour, channels cut or zero-padded.

    Args:
        point: [batch, height, width, channels].
        shape: the target shape; height and width must be no larger than the point's.
    """
    for axis in (1, 2):
        point = _nearest(point, axis, shape[axis])
    missing = max(0, shape[3] - point.shape[3])
    return jnp.pad(point[..., : shape[3]], ((0, 0), (0, 0), (0, 0), (0, missing)))


def _nearest(point: jax.Array, axis: int, size: int) -> jax.Array:
    """Resizes one axis by nearest neighbour (half-pixel centres, as `jax.image.resize`).

    If the picked rows are evenly spaced, as they always are if the size divides, this is a strided slice, whose
    gradient is a padding; the gradient of a gather would be a scatter, which is slow.
    """
    rows = np.floor((np.arange(size) + 0.5) * point.shape[axis] / size).astype(int)
    steps = set(np.diff(rows).tolist())
    if len(steps) <= 1:
        stride = steps.pop() if steps else 1
        return jax.lax.slice_in_dim(point, int(rows[0]), int(rows[-1]) + 1, stride, axis)
    return jnp.take(point, rows, axis=axis)


def variable_shapes(phenotype: Phenotype) -> dict[str, dict[str, dict[str, jax.ShapeDtypeStruct]]]:
    """Returns the shapes of all arrays, as {"params": ..., "batch_stats": ...}.

    Computed from the architecture, since Flax would trace the network once more, a tenth of the time to compile it.
    """
    layers, points = phenotype.architecture.layers, phenotype.architecture.shapes
    params: dict[str, dict[str, jax.ShapeDtypeStruct]] = {}
    batch_stats: dict[str, dict[str, jax.ShapeDtypeStruct]] = {}
    for position, layer in enumerate(layers, start=1):
        for kind, arrays in layer.operation.arrays.items():
            params[f"{kind}_{position}"] = {name: _float32(*shape) for name, shape in arrays.items()}
        if layer.activation is Activation.BATCH_NORM_RELU:
            channels = _float32(points[position][2])
            params[f"batch_norm_{position}"] = {"scale": channels, "bias": channels}
            batch_stats[f"batch_norm_{position}"] = {"mean": channels, "var": channels}
    classes = phenotype.num_classes
    params["classifier"] = {"kernel": _float32(points[-1][2], classes), "bias": _float32(classes)}
    return {"params": params, "batch_stats": batch_stats}


def _float32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
