"""The README of an exported network; a test runs its code blocks."""

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

from jaxevo.reports.drawing import drawing_text
from jaxevo.search.space import SearchSpace
from jaxevo.spaces.large_scale.source import string_literal
from jaxevo.storage.machine import software_versions
from jaxevo.storage.manifest import Manifest

PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms of the StableHLO."""

_README = """\
# An image classifier

A network evolved by jaxevo. It takes uint8 images [batch, {image_shape}], normalises them itself, and
distinguishes {classes} classes. {forms}
{precision}

{facts}

{source}## StableHLO

`network.stablehlo` is the same function as a portable program, weights included, for {platforms} and any
number of images. It needs `jax` and `flatbuffers`. It was written by JAX {jax}; JAX 0.9 and later read it, 0.8 and
older do not.

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

{onnx}## The network

One line per layer; `genotype.json` describes the same network for programs.

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

_TWO_FORMS = "Both forms below work without jaxevo and give the same logits."
_ONE_FORM = "The program below works without jaxevo."

_SOURCE = """\
## Flax source and weights

`network.py` is plain Flax, written for this one network: read it, change it, train it further. It needs `flax`,
`safetensors` and NumPy. Run the code below in this folder, or add the folder to Python's path. Images of another
type or shape raise an error.

```python
import jax
import numpy as np
from network import Network, load, predict

images = np.zeros((2, {image_shape}), np.uint8)  # Yours here.
logits = jax.jit(Network().apply)(load(), images)
print(predict(images))
```

A training step, with `optax`:

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

"""

_WITHOUT_SOURCE = """\
## Weights

`weights.safetensors` holds the arrays by their paths. The search space writes no Flax source, so only the program below
works without jaxevo.

"""

_ONNX = """\
## ONNX

`python to_onnx.py` writes `network.onnx`, in an environment with `jax`, `flax`, `safetensors` and `jax2onnx`. It takes
float32 pixels of 0 to 255, and computes in float32.

"""

_PRECISION = {
    "float32": "It computes in float32.",
    "bfloat16": (
        "It computes in bfloat16, as it was trained, so the two may differ in rounding. Its weights, statistics and\n"
        "logits are float32."
    ),
}


def readme_text(
    space: SearchSpace[Any], genotype: Any, manifest: Manifest, facts: Mapping[str, float | str], with_source: bool
) -> str:
    """Returns the README, in Markdown; `with_source` if Flax source is beside it."""
    drawing = space.drawing(genotype, manifest.task)
    image_shape = ", ".join(map(str, manifest.image_shape))
    source = _SOURCE.format(
        image_shape=image_shape,
        learning_rate=float(f"{space.training(genotype).learning_rate:.4g}"),
        momentum=manifest.settings.momentum,
    )
    labelled = enumerate(string_literal(name) for name in manifest.class_names)
    return _README.format(
        image_shape=image_shape,
        forms=_TWO_FORMS if with_source else _ONE_FORM,
        source=source if with_source else _WITHOUT_SOURCE,
        onnx=_ONNX if with_source else "",
        classes=len(manifest.class_names),
        precision=_PRECISION[manifest.settings.compute_dtype],
        facts="\n".join(f"- {name}: {_number(value)}" for name, value in facts.items()),
        platforms=", ".join(PLATFORMS),
        jax=importlib.metadata.version("jax"),
        description=drawing_text(drawing),
        class_names="\n".join(f"{label} {name}" for label, name in labelled),
        versions=", ".join(f"{name} {version}" for name, version in _versions().items()),
    )


def _number(value: float | str) -> str:
    """Returns a fact as text: integers with commas, floats to four digits."""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _versions() -> dict[str, str]:
    """Returns the versions of jaxevo, if installed, Python and the numerical packages."""
    try:
        own = importlib.metadata.version("jaxevo")
    except importlib.metadata.PackageNotFoundError:
        own = "(from source)"
    return {"jaxevo": own, "python": platform.python_version()} | software_versions()
