"""Export a network to a folder that works without jaxevo: readable Flax source with weights, and StableHLO.

The source looks as if written by hand for this one architecture, so that users can read it, change it and train it
further. The StableHLO needs only JAX and FlatBuffers.
"""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jaxevo.layers.convolution import widened
from jaxevo.reports.export.onnx import to_onnx_source
from jaxevo.reports.export.readme import PLATFORMS, readme_text
from jaxevo.search.space import SearchSpace
from jaxevo.spaces.network_space import Kernels, Variables, leaves, networks_of
from jaxevo.storage.manifest import Manifest


def export_network(
    space: SearchSpace[Any],
    genotype: Any,
    variables: Variables,
    manifest: Manifest,
    facts: Mapping[str, float | str],
    folder: Path,
) -> None:
    """Exports a network to a folder that works without jaxevo, completely or not at all.

    Args:
        space: search space of the network.
        genotype: its genotype.
        variables: its trained variables.
        manifest: manifest of its run, for the image shape, the normalisation and the classes.
        facts: facts for the README, such as accuracies, in order.
        folder: target folder; must not exist or must be empty. Missing parents are created.

    Raises:
        ValueError: if the folder is not empty or cannot be written.
    """
    arrays = jax.tree.map(np.asarray, variables)
    write_whole(folder, lambda target: write_network(space, genotype, arrays, manifest, facts, target))


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a new folder completely or not at all.

    Args:
        folder: target folder; must not exist or must be empty. Missing parents are created.
        write: writes the content into an empty folder.

    Raises:
        ValueError: if the folder is not empty or cannot be written.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"the export folder {folder} exists and is not empty: choose another one")
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        os.replace(temporary, folder)
    except OSError as error:
        raise ValueError(
            f"the export folder {folder} cannot be written ({error.strerror}): choose another one"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_network(
    space: SearchSpace[Any],
    genotype: Any,
    variables: Variables,
    manifest: Manifest,
    facts: Mapping[str, float | str],
    folder: Path,
) -> None:
    """Writes all files of a network into an empty folder; without Flax source if its space has none."""
    source = networks_of(space).source(
        space.architecture(genotype, manifest.task),
        manifest.settings,
        manifest.class_names,
        manifest.mean,
        manifest.deviation,
    )
    # The program that writes ONNX needs the source.
    written = {} if source is None else {"network.py": source, "to_onnx.py": to_onnx_source(manifest.image_shape)}
    texts = written | {
        "class_names.json": json.dumps(manifest.class_names, indent=1) + "\n",
        "genotype.json": json.dumps(space.to_json(genotype), indent=1) + "\n",
        "images.json": json.dumps({"shape": manifest.image_shape, "pixel_factor": manifest.pixel_factor}) + "\n",
        "README.md": readme_text(space, genotype, manifest, facts, with_source=source is not None),
    }
    for name, text in texts.items():
        # A fact may contain a path that is not valid UTF-8.
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    network = logits_of(space, genotype, variables, manifest)
    (folder / "network.stablehlo").write_bytes(serialised(network, manifest))
    save_weights(folder / "weights.safetensors", variables)


def save_weights(path: Path, variables: Variables) -> None:
    """Writes variables to one safetensors file, named by their paths, such as `params/dense/kernel`."""
    arrays = {"/".join(path): np.ascontiguousarray(array) for path, array in leaves(variables)}
    # `save_file` raises errors of its own for a full disk.
    path.write_bytes(safetensors.numpy.save(arrays))


def logits_of(
    space: SearchSpace[Any], genotype: Any, variables: Variables, manifest: Manifest
) -> Callable[[jax.Array], jax.Array]:
    """Returns the function from uint8 images [batch, height, width, channels] to logits."""
    compiled = space.architecture(genotype, manifest.task)
    phenotype = networks_of(space).module(compiled, manifest.task, manifest.settings, kernels=Kernels(widened))
    constants = variables, np.array(manifest.mean, np.float32), np.array(manifest.deviation, np.float32)

    def network(images: jax.Array) -> jax.Array:
        # Without the barrier XLA would fold constants, which changes the last bits.
        arrays, mean, deviation = jax.lax.optimization_barrier(constants)
        normalised = (images.astype(jnp.float32) / 255.0 - mean) / deviation
        return phenotype.apply(arrays, normalised, train=False)

    return network


def serialised(network: Callable[[jax.Array], jax.Array], manifest: Manifest) -> bytes:
    """Returns a function of uint8 images as StableHLO, for every platform and any number of images."""
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *manifest.image_shape), jnp.uint8)
    return bytes(jax.export.export(jax.jit(network), platforms=PLATFORMS)(images).serialize())
