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

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jaxevo.reports.export.onnx import to_onnx_source
from jaxevo.reports.export.readme import PLATFORMS, readme_text
from jaxevo.spaces.large_scale.architecture import Architecture, architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.inheritance import Variables
from jaxevo.spaces.large_scale.network import make_phenotype
from jaxevo.spaces.large_scale.source import network_source
from jaxevo.storage.workdir import Manifest


def export_network(
    genotype: Genotype,
    variables: Variables,
    manifest: Manifest,
    facts: Mapping[str, float | str],
    folder: Path,
) -> None:
    """Exports a network to a folder that works without jaxevo, completely or not at all.

    Args:
        genotype: genotype of the network.
        variables: its trained variables.
        manifest: manifest of its run, for the image shape, the normalisation and the classes.
        facts: facts for the README, such as accuracies, in order.
        folder: target folder; must not exist or must be empty. Missing parents are created.

    Raises:
        ValueError: if the folder is not empty or cannot be written.
    """
    write_whole(
        folder, lambda target: write_network(genotype, jax.tree.map(np.asarray, variables), manifest, facts, target)
    )


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
    genotype: Genotype,
    variables: Variables,
    manifest: Manifest,
    facts: Mapping[str, float | str],
    folder: Path,
) -> None:
    """Writes all files of a network into an empty folder."""
    compiled = architecture(genotype, manifest.image_shape)
    texts = {
        "network.py": network_source(
            compiled, manifest.settings, manifest.class_names, manifest.mean, manifest.deviation
        ),
        "class_names.json": json.dumps(manifest.class_names, indent=1) + "\n",
        "genotype.json": json.dumps(genotype.to_json(), indent=1) + "\n",
        "images.json": json.dumps({"shape": manifest.image_shape, "pixel_factor": manifest.pixel_factor}) + "\n",
        "to_onnx.py": to_onnx_source(manifest.image_shape),
        "README.md": readme_text(genotype, manifest, facts),
    }
    for name, text in texts.items():
        # A fact may contain a path that is not valid UTF-8.
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    (folder / "network.stablehlo").write_bytes(_stablehlo(compiled, variables, manifest))
    save_weights(folder / "weights.safetensors", variables)


def save_weights(path: Path, variables: Variables) -> None:
    """Writes variables to one safetensors file, named by collection, module and array, as in `params/dense/kernel`."""
    arrays = {
        f"{collection}/{module}/{name}": np.ascontiguousarray(array)
        for collection, modules in variables.items()
        for module, leaves in modules.items()
        for name, array in leaves.items()
    }
    safetensors.numpy.save_file(arrays, path)


def _stablehlo(compiled: Architecture, variables: Variables, manifest: Manifest) -> bytes:
    """Returns the serialised function from uint8 images [batch, height, width, channels] to logits."""
    return serialised(logits_of(compiled, variables, manifest), manifest)


def logits_of(compiled: Architecture, variables: Variables, manifest: Manifest) -> Callable[[jax.Array], jax.Array]:
    """Returns the function from uint8 images [batch, height, width, channels] to logits."""
    phenotype = make_phenotype(compiled, len(manifest.class_names), manifest.settings)
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
