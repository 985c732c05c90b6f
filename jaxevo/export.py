"""A network as a folder that works without jaxevo: readable Flax source with weights, and StableHLO.

The source is what a person would write for this one architecture, so that it can be read, changed and trained
on. The StableHLO needs nothing but JAX.
"""

import importlib.metadata
import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxevo.checkpoint import save_tree
from jaxevo.genotype import IMAGE, Activation, Architecture, Genotype, architecture, describe
from jaxevo.inheritance import Variables
from jaxevo.phenotype import Phenotype
from jaxevo.workdir import Manifest, software_versions

PLATFORMS = ("cpu", "cuda", "tpu")
"""What the StableHLO runs on."""

_LINE_LENGTH = 110


def export_network(
    genotype: Genotype,
    variables: Variables,
    manifest: Manifest,
    facts: Mapping[str, float | str],
    folder: Path,
) -> None:
    """Writes a network as a folder that works without jaxevo; the folder is there as a whole or not at all.

    Args:
        genotype: of the network.
        variables: its trained arrays.
        manifest: of the run that it comes from: the images it takes, how they are normalised, the classes.
        facts: what its README is to say of it, such as its accuracies, in this order.
        folder: where to write; must not exist or be empty. Missing parents are made.

    Raises:
        ValueError: if the folder holds something already or cannot be written.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"the export folder {folder} exists and is not empty: choose another one")
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        _write(genotype, jax.tree.map(np.asarray, variables), manifest, facts, temporary)
        os.replace(temporary, folder)
    except OSError as error:
        raise ValueError(
            f"the export folder {folder} cannot be written ({error.strerror}): choose another one"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(
    genotype: Genotype,
    variables: Variables,
    manifest: Manifest,
    facts: Mapping[str, float | str],
    folder: Path,
) -> None:
    compiled = architecture(genotype, manifest.image_shape)
    texts = {
        "network.py": network_source(compiled, manifest),
        "class_names.json": json.dumps(manifest.class_names, indent=1) + "\n",
        "genotype.json": json.dumps(genotype.to_json(), indent=1) + "\n",
        "README.md": _readme(genotype, manifest, facts),
    }
    for name, text in texts.items():
        # A fact may name a path that is no UTF-8.
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    (folder / "network.stablehlo").write_bytes(_stablehlo(compiled, variables, manifest))
    save_tree(folder / "weights", variables)


def _stablehlo(compiled: Architecture, variables: Variables, manifest: Manifest) -> bytes:
    """Returns the serialized function from uint8 images [batch, height, width, channels] to logits."""
    phenotype = Phenotype(compiled, len(manifest.class_names))
    constants = variables, np.array(manifest.mean, np.float32), np.array(manifest.deviation, np.float32)

    def network(images: jax.Array) -> jax.Array:
        # Without the barrier XLA would fold constants, and the last bits would not be those of the run.
        arrays, mean, deviation = jax.lax.optimization_barrier(constants)
        normalised = (images.astype(jnp.float32) / 255.0 - mean) / deviation
        return phenotype.apply(arrays, normalised, train=False)

    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *compiled.image_shape), jnp.uint8)
    return bytes(jax.export.export(jax.jit(network), platforms=PLATFORMS)(images).serialize())


_SOURCE = '''\
"""An image classifier that jaxevo evolved; it works without jaxevo and can be trained on.

`Network().apply(load(), images)` returns logits and `predict(images)` names of classes, for images
uint8 [batch, {image_shape}].
"""

{partial}from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

{class_names}

# Of the training pixels in [0, 1], by channel.
{mean}
{deviation}


class Network(nn.Module):
    """From images to logits; the comments give height, width and channels."""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Returns logits, float32 [batch, classes].

        Args:
            images: uint8 [batch, {image_shape}].
            train: normalise by the batch's statistics and update the running ones, instead of using these.
        """
{body}


{functions}'''

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

_LOAD = '''\
def load() -> dict[str, Any]:
    """Returns the trained variables, NumPy arrays, from the folder `weights` beside this file."""
    with ocp.PyTreeCheckpointer() as checkpointer:
        return {restored}
'''

_PREDICT = '''\
def predict(images: jax.Array) -> list[str]:
    """Returns the name of each image's class, for images uint8 [batch, {image_shape}]."""
    logits = jax.jit(Network().apply)(load(), images)
    return [CLASS_NAMES[label] for label in logits.argmax(axis=-1)]
'''


def network_source(compiled: Architecture, manifest: Manifest) -> str:
    """Returns the Python source of a Flax module for one architecture, formatted as ruff does."""
    body = list(_body(compiled, manifest.settings.batch_norm_decay))
    image_shape = ", ".join(map(str, compiled.image_shape))
    restored = 'checkpointer.restore(Path(__file__).absolute().parent / "weights")'
    if not _normalises(compiled):
        restored = '{"batch_stats": {}} | ' + restored  # Orbax may drop empty trees.
    functions = [_FIT] if any("fit(" in line for line in body) else []
    functions += [_LOAD.format(restored=restored), _PREDICT.format(image_shape=image_shape)]
    return _SOURCE.format(
        image_shape=image_shape,
        partial="from functools import partial\n" if any("partial(" in line for line in body) else "",
        class_names=_assignment("CLASS_NAMES", [_string(name) for name in manifest.class_names]),
        mean=_assignment("MEAN", [_float32(value) for value in manifest.mean]),
        deviation=_assignment("DEVIATION", [_float32(value) for value in manifest.deviation]),
        body="\n".join(f"        {line}".rstrip() for line in body),
        functions="\n\n".join(functions),
    )


def _body(compiled: Architecture, batch_norm_decay: float) -> Iterator[str]:
    """Yields the lines of the module's `__call__`."""
    sources = {source for source, _ in compiled.skips}
    if any(layer.filter_shape is not None for layer in compiled.layers):
        yield 'convolution = partial(nn.Conv, padding="SAME", use_bias=False)'
    if _normalises(compiled):
        options = f"use_running_average=not train, momentum={batch_norm_decay!r}"
        yield f"batch_norm = partial(nn.BatchNorm, {options})"
    yield "mean, deviation = np.array(MEAN, np.float32), np.array(DEVIATION, np.float32)"
    yield f"x = (images.astype(jnp.float32) / 255.0 - mean) / deviation  # {_size(compiled, IMAGE)}"
    if IMAGE in sources:
        yield f"{_point(IMAGE)} = x"
    yield ""
    for position in range(1, len(compiled.layers) + 1):
        yield from _layer_lines(compiled, position)
        if position in sources:
            yield f"{_point(position)} = x"
        yield ""
    yield "x = x.mean(axis=(1, 2))"
    yield 'return nn.Dense(len(CLASS_NAMES), name="classifier")(x)'


def _layer_lines(compiled: Architecture, position: int) -> Iterator[str]:
    """Yields a statement each for a layer's convolution, the skips that enter it, and its activation."""
    layer = compiled.layers[position - 1]
    if layer.filter_shape is not None:
        strides = f", strides=({layer.stride}, {layer.stride})" if layer.stride > 1 else ""
        arguments = f'{layer.channels}, {layer.filter_shape}{strides}, name="convolution_{position}"'
        yield f"x = convolution({arguments})(x)  # {_size(compiled, position)}"
    for source, target in compiled.skips:
        if target == position and compiled.shapes[source] == compiled.shapes[target]:
            yield f"x = x + {_point(source)}"
        elif target == position:
            yield f"x = x + fit({_point(source)}, x.shape)"
    if layer.activation is Activation.BATCH_NORM_RELU:
        yield f'x = nn.relu(batch_norm(name="batch_norm_{position}")(x))'


def _normalises(compiled: Architecture) -> bool:
    return any(layer.activation is Activation.BATCH_NORM_RELU for layer in compiled.layers)


def _point(position: int) -> str:
    """Returns the name of the variable that keeps a point's activations for a skip."""
    return "image" if position == IMAGE else f"point_{position}"


def _size(compiled: Architecture, position: int) -> str:
    return " x ".join(map(str, compiled.shapes[position]))


def _assignment(name: str, items: Sequence[str]) -> str:
    """Returns the assignment of a tuple, on one line where it fits; a letter beyond ASCII may be wide."""
    line = f"{name} = ({', '.join(items)}{',' if len(items) == 1 else ''})"
    if len(items) == 1 or (len(line) <= _LINE_LENGTH and line.isascii()):
        return line
    return "\n".join((f"{name} = (", *(f"    {item}," for item in items), ")"))


def _string(text: str) -> str:
    """Returns a literal, in double quotes unless single ones need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    letters = (f"\\{letter}" if letter == quote else repr(letter)[1:-1] for letter in text)
    return quote + "".join(letters) + quote


def _float32(value: float) -> str:
    """Returns the shortest decimal that reads back as the same float32."""
    short = str(np.float32(value))
    return short if np.float32(float(short)) == np.float32(value) else repr(float(np.float32(value)))


_README = """\
# An image classifier

A network that jaxevo evolved. It takes uint8 images [batch, {image_shape}] as they are, normalises them
itself, and tells {classes} classes apart. Both forms below work without jaxevo and give the same logits.

{facts}

## Flax source and weights

`network.py` is plain Flax, written for this one network: read it, change it, train it on. It needs `flax`,
`orbax-checkpoint` and NumPy; run this in this folder, or put it on Python's path.

```python
import jax
import numpy as np
from network import Network, load, predict

images = np.zeros((2, {image_shape}), np.uint8)  # Yours here.
logits = jax.jit(Network().apply)(load(), images)
print(predict(images))
```

A step of training, with `optax`:

```python
import jax
import numpy as np
import optax
from network import CLASS_NAMES, Network, load

images = np.random.default_rng(0).integers(256, size=(8, {image_shape}), dtype=np.uint8)  # Yours here.
labels = np.arange(8) % len(CLASS_NAMES)

network, variables = Network(), load()
params, batch_stats = variables["params"], variables["batch_stats"]
optimiser = optax.sgd({learning_rate!r}, momentum={momentum!r})
state = optimiser.init(params)


@jax.jit
def step(params, batch_stats, state, images, labels):
    def loss(params):
        variables = {{"params": params, "batch_stats": batch_stats}}
        logits, updates = network.apply(variables, images, train=True, mutable=["batch_stats"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), updates.get("batch_stats", {{}})

    gradients, new_stats = jax.grad(loss, has_aux=True)(params)
    updates, state = optimiser.update(gradients, state)
    return optax.apply_updates(params, updates), new_stats, state


params, batch_stats, state = step(params, batch_stats, state, images, labels)
```

## StableHLO

`network.stablehlo` is the same function as a portable program, weights included, for {platforms} and any
number of images. It needs `jax` alone.

```python
import json
from pathlib import Path

import jax.export
import numpy as np

network = jax.export.deserialize(bytearray(Path("network.stablehlo").read_bytes()))
class_names = json.loads(Path("class_names.json").read_text())

images = np.zeros((2, {image_shape}), np.uint8)  # Yours here.
logits = network.call(images)
print([class_names[label] for label in logits.argmax(axis=-1)])
```

## The network

One line a layer; `genotype.json` holds the same for programs.

```text
{description}
```

## Classes

```text
{class_names}
```

## Written by

{versions}
"""


def _readme(genotype: Genotype, manifest: Manifest, facts: Mapping[str, float | str]) -> str:
    labelled = enumerate(_string(name) for name in manifest.class_names)
    return _README.format(
        image_shape=", ".join(map(str, manifest.image_shape)),
        classes=len(manifest.class_names),
        facts="\n".join(f"- {name}: {_number(value)}" for name, value in facts.items()),
        learning_rate=float(f"{genotype.learning_rate:.4g}"),
        momentum=manifest.settings.momentum,
        platforms=", ".join(PLATFORMS),
        description=describe(genotype, manifest.image_shape, len(manifest.class_names)),
        class_names="\n".join(f"{label} {name}" for label, name in labelled),
        versions=", ".join(f"{name} {version}" for name, version in _versions().items()),
    )


def _number(value: float | str) -> str:
    """Returns a fact as text: whole numbers with commas, others to four digits."""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _versions() -> dict[str, str]:
    """Returns the versions of what writes an export; jaxevo's is known where it is installed."""
    try:
        own = importlib.metadata.version("jaxevo")
    except importlib.metadata.PackageNotFoundError:
        own = "(from source)"
    return {"jaxevo": own, "python": platform.python_version()} | software_versions()
