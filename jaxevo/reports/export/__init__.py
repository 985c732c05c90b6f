"""Export a network to a folder that works without jaxevo: readable Flax source with weights, and StableHLO.

The source looks as if written by hand for this one architecture, so that users can read it, change it and train it
further. The StableHLO needs only JAX and FlatBuffers.
"""

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxevo.reports.export.readme import PLATFORMS, readme_text
from jaxevo.spaces.large_scale.architecture import Architecture, architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.inheritance import Variables
from jaxevo.spaces.large_scale.network import make_phenotype
from jaxevo.spaces.large_scale.source import network_source
from jaxevo.storage.checkpoint import save_tree
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
        "network.py": network_source(
            compiled, manifest.settings, manifest.class_names, manifest.mean, manifest.deviation
        ),
        "class_names.json": json.dumps(manifest.class_names, indent=1) + "\n",
        "genotype.json": json.dumps(genotype.to_json(), indent=1) + "\n",
        "README.md": readme_text(genotype, manifest, facts),
    }
    for name, text in texts.items():
        # A fact may contain a path that is not valid UTF-8.
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    (folder / "network.stablehlo").write_bytes(_stablehlo(compiled, variables, manifest))
    save_tree(folder / "weights", variables)


def _stablehlo(compiled: Architecture, variables: Variables, manifest: Manifest) -> bytes:
    """Returns the serialised function from uint8 images [batch, height, width, channels] to logits."""
    phenotype = make_phenotype(compiled, len(manifest.class_names), manifest.settings)
    constants = variables, np.array(manifest.mean, np.float32), np.array(manifest.deviation, np.float32)

    def network(images: jax.Array) -> jax.Array:
        # Without the barrier XLA would fold constants, which changes the last bits.
        arrays, mean, deviation = jax.lax.optimization_barrier(constants)
        normalised = (images.astype(jnp.float32) / 255.0 - mean) / deviation
        return phenotype.apply(arrays, normalised, train=False)

    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *compiled.image_shape), jnp.uint8)
    return bytes(jax.export.export(jax.jit(network), platforms=PLATFORMS)(images).serialize())
