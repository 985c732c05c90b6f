"""Python source of a network, as a person would write it for this architecture."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import IMAGE, Activation

_LINE_LENGTH = 110

_SOURCE = '''\
"""An image classifier evolved by jaxevo. It works without jaxevo and can be trained further.

`Network().apply(load(), images)` returns logits and `predict(images)` class names, for images
uint8 [batch, {image_shape}].
"""

from functools import cache{partial}
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file

{class_names}
IMAGE_SHAPE = ({image_shape})  # Height, width, channels.

# Mean and standard deviation of the training pixels in [0, 1], by channel.
{mean}
{deviation}


class Network(nn.Module):
    """Computes logits of images; the comments give height, width and channels."""
{field}
    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Returns logits, float32 [batch, classes].

        Args:
            images: uint8 [batch, {image_shape}].
            train: if True, normalise by batch statistics and update the running ones; else by these.

        Raises:
            ValueError: if the images have another type or shape.
        """
        check(images)
{body}


{functions}'''

_FIELD = """
    dtype: Any = jnp.{dtype}  # Of activations and products, as in training; float32 will do too.
"""

_CHECK = '''\
def check(images: jax.Array) -> None:
    """Raises `ValueError` unless images are uint8 [batch, {image_shape}], as in training."""
    if images.dtype != np.uint8:
        raise ValueError(f"images: dtype is {{images.dtype}}; give uint8 pixels, 0 to 255, not normalised")
    if images.ndim != 4 or images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(f"images: shape is {{images.shape}}; give [batch, {image_shape}]")
'''

_FIT = '''\
def fit(point: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns activations in a smaller shape: nearest neighbour, channels cut or padded with zeros."""
    for axis in (1, 2):
        size, wanted = point.shape[axis], shape[axis]
        if size % wanted == 0:  # A slice: its gradient is faster than that of take.
            step = size // wanted
            point = jax.lax.slice_in_dim(point, step // 2, size, step, axis)
        else:
            point = jnp.take(point, (2 * np.arange(wanted) + 1) * size // (2 * wanted), axis=axis)
    missing = max(0, shape[3] - point.shape[3])
    return jnp.pad(point[..., : shape[3]], ((0, 0), (0, 0), (0, 0), (0, missing)))
'''

_CONVOLVE = '''\
def convolve(images: jax.Array, kernel: jax.Array, *shared: Any, **options: Any) -> jax.Array:
    """Returns a convolution; one of bfloat16 is computed in float32 and rounded.

    On CPU JAX 0.11 and 0.12 compute some convolutions of bfloat16 wrong unless a barrier stands between them.
    """
    if images.dtype != jnp.bfloat16:
        return jax.lax.conv_general_dilated(images, kernel, *shared, **options)
    wide = images.astype(jnp.float32), kernel.astype(jnp.float32)
    products = jax.lax.conv_general_dilated(*wide, *shared, **options)
    return jax.lax.optimization_barrier(products).astype(jnp.bfloat16)
'''

_LOAD = '''\
def load() -> dict[str, Any]:
    """Returns the trained variables, NumPy arrays, from `weights.safetensors` beside this file.

    Raises:
        ValueError: if an array's name, dtype or shape is not that of the network.
    """
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for name, array in load_file(Path(__file__).parent / "weights.safetensors").items():
        collection, module, leaf = name.split("/")
        variables[collection].setdefault(module, {})[leaf] = array
    images = jax.ShapeDtypeStruct((1, *IMAGE_SHAPE), np.uint8)
    needed = {"batch_stats": {}} | jax.eval_shape(Network().init, jax.random.key(0), images)
    found, wanted = (
        jax.tree.map(lambda leaf: f"{leaf.dtype}{leaf.shape}", tree) for tree in (variables, needed)
    )
    if found != wanted:
        raise ValueError(f"weights.safetensors holds {found}, but the network needs {wanted}")
    return variables
'''

_PREDICT = '''\
def predict(images: jax.typing.ArrayLike) -> list[str]:
    """Returns the name of each image's class, for images uint8 [batch, {image_shape}]."""
    images = np.asarray(images)
    check(images)
    logits = compiled(loaded(), images)
    return [CLASS_NAMES[label] for label in logits.argmax(axis=-1)]


# Compiled once for every batch size, and loaded once.
compiled = jax.jit(Network().apply)
loaded = cache(load)
'''


def network_source(
    compiled: Architecture,
    settings: Settings,
    class_names: Sequence[str],
    mean: Sequence[float],
    deviation: Sequence[float],
) -> str:
    """Returns the Python source of a Flax module for one architecture, formatted as ruff does.

    Args:
        compiled: the architecture.
        settings: of the run that trained the network.
        class_names: one per class, by label.
        mean: mean of the training pixels in [0, 1], by channel.
        deviation: their standard deviation, by channel.
    """
    body = list(_body(compiled, settings))
    image_shape = ", ".join(map(str, compiled.image_shape))
    functions = [_CHECK.format(image_shape=image_shape)]
    functions += [_FIT] if any("fit(" in line for line in body) else []
    functions += [_CONVOLVE] if any("=convolve)" in line for line in body) else []
    functions += [_LOAD, _PREDICT.format(image_shape=image_shape)]
    return _SOURCE.format(
        image_shape=image_shape,
        field=_FIELD.format(dtype=settings.compute_dtype) if _narrow(settings) else "",
        partial=", partial" if any("partial(" in line for line in body) else "",
        class_names=_assignment("CLASS_NAMES", [string_literal(name) for name in class_names]),
        mean=_assignment("MEAN", [_float32(value) for value in mean]),
        deviation=_assignment("DEVIATION", [_float32(value) for value in deviation]),
        body="\n".join(f"        {line}".rstrip() for line in body),
        functions="\n\n".join(functions),
    )


def _body(compiled: Architecture, settings: Settings) -> Iterator[str]:
    """Yields the lines of the module's `__call__`."""
    narrow = _narrow(settings)
    dtype = ", dtype=self.dtype" if narrow else ""
    sources = {source for source, _ in compiled.skips}
    yield from dict.fromkeys(line for layer in compiled.layers for line in layer.operation.definitions(dtype))
    if _normalises(compiled):
        options = f"use_running_average=not train, momentum={settings.batch_norm_decay!r}{dtype}"
        yield f"batch_norm = partial(nn.BatchNorm, {options})"
    yield "mean, deviation = np.array(MEAN, np.float32), np.array(DEVIATION, np.float32)"
    yield f"x = (images.astype(jnp.float32) / 255.0 - mean) / deviation  # {_size(compiled, IMAGE)}"
    if narrow:
        yield "x = x.astype(self.dtype)"
    if IMAGE in sources:
        yield f"{_point(IMAGE)} = x"
    yield ""
    for position in range(1, len(compiled.layers) + 1):
        yield from _layer_lines(compiled, position)
        if position in sources:
            yield f"{_point(position)} = x"
        yield ""
    yield "x = x.mean(axis=(1, 2))"
    if narrow:
        yield "product = partial(jax.lax.dot_general, preferred_element_type=jnp.float32)"
        dtype += ", dot_general=product"
    yield f'return nn.Dense(len(CLASS_NAMES){dtype}, name="classifier")(x)'


def _layer_lines(compiled: Architecture, position: int) -> Iterator[str]:
    """Yields a statement each for a layer's operation, the skips that enter it, and its activation."""
    layer = compiled.layers[position - 1]
    *lines, last = layer.operation.source(position) or [""]
    yield from lines
    if last:
        yield f"{last}  # {_size(compiled, position)}"
    for source, target in compiled.skips:
        if target == position and compiled.shapes[source] == compiled.shapes[target]:
            yield f"x = x + {_point(source)}"
        elif target == position:
            yield f"x = x + fit({_point(source)}, x.shape)"
    if layer.activation is Activation.BATCH_NORM_RELU:
        yield f'x = nn.relu(batch_norm(name="batch_norm_{position}")(x))'


def _narrow(settings: Settings) -> bool:
    return settings.compute_dtype != "float32"


def _normalises(compiled: Architecture) -> bool:
    return any(layer.activation is Activation.BATCH_NORM_RELU for layer in compiled.layers)


def _point(position: int) -> str:
    """Returns the name of the variable that keeps a point's activations for a skip."""
    return "image" if position == IMAGE else f"point_{position}"


def _size(compiled: Architecture, position: int) -> str:
    return " x ".join(map(str, compiled.shapes[position]))


def _assignment(name: str, items: Sequence[str]) -> str:
    """Returns the assignment of a tuple, on one line if it fits and is ASCII: other letters may be wide."""
    line = f"{name} = ({', '.join(items)}{',' if len(items) == 1 else ''})"
    if len(items) == 1 or (len(line) <= _LINE_LENGTH and line.isascii()):
        return line
    return "\n".join((f"{name} = (", *(f"    {item}," for item in items), ")"))


def string_literal(text: str) -> str:
    """Returns a Python literal of text, in double quotes unless single ones need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    letters = (f"\\{letter}" if letter == quote else repr(letter)[1:-1] for letter in text)
    return quote + "".join(letters) + quote


def _float32(value: float) -> str:
    """Returns the shortest decimal that reads back as the same float32."""
    short = str(np.float32(value))
    return short if np.float32(float(short)) == np.float32(value) else repr(float(np.float32(value)))
