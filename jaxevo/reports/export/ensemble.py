"""Export an ensemble: its networks, each in a folder of its own, and their majority vote."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxevo.reports.export import logits_of, serialised, write_network, write_whole
from jaxevo.search.space import SearchSpace
from jaxevo.spaces.network_space import Variables
from jaxevo.storage.manifest import Manifest

_SOURCE = '''\
"""An ensemble of image classifiers evolved by jaxevo, which decides by majority vote. It works without jaxevo."""

import importlib.util
from pathlib import Path

import jax
import numpy as np

MEMBERS = ({members})  # The fittest first.


def member(name):
    """Returns the module of a member."""
    path = Path(__file__).parent / "members" / name / "network.py"
    spec = importlib.util.spec_from_file_location(f"member_{{name}}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NETWORKS = [member(name) for name in MEMBERS]
CLASS_NAMES = NETWORKS[0].CLASS_NAMES


def predict(images):
    """Returns the name of each image's class, for images uint8 [batch, {image_shape}].

    Ties go to the class that the fittest member of the tied predicts.
    """
    votes = np.zeros((len(images), len(CLASS_NAMES)))
    for place, network in enumerate(NETWORKS):
        logits = jax.jit(network.Network().apply)(network.load(), np.asarray(images))
        votes[np.arange(len(images)), logits.argmax(axis=-1)] += 1 + 2.0 ** -(place + 2)
    return [CLASS_NAMES[label] for label in votes.argmax(axis=-1)]
'''

_README = """\
# An ensemble of image classifiers

{number} networks evolved by jaxevo, which decide by majority vote; ties go to the fittest. It takes uint8 images
[batch, {image_shape}] and distinguishes {classes} classes.

{source}- `network.stablehlo`: the vote as a portable program, with `jax` (0.9 or later) and `flatbuffers`. It
  returns the logarithm of each class's share of the votes: `jax.export.deserialize(...).call(images)`.
- `members/ID`: each network, with a README of its own.
- `jaxevo predict` takes this folder.

{facts}
"""


_README_SOURCE = "- `ensemble.py`: `from ensemble import predict`, with `flax`, `safetensors` and NumPy.\n"


class Member(NamedTuple):
    """A member of an exported ensemble.

    Attributes:
        id: id of the individual.
        genotype: its genotype.
        variables: its trained variables.
        facts: facts for its README.
    """

    id: int
    genotype: Any
    variables: Variables
    facts: Mapping[str, float | str]


def export_ensemble(space: SearchSpace[Any], members: Sequence[Member], manifest: Manifest, folder: Path) -> None:
    """Exports an ensemble to a folder that works without jaxevo, completely or not at all.

    Args:
        space: search space of their run.
        members: members, the fittest first.
        manifest: manifest of their run.
        folder: target folder; must not exist or must be empty.

    Raises:
        ValueError: if the folder is not empty or cannot be written.
    """
    write_whole(folder, lambda target: _write(space, members, manifest, target))


def _write(space: SearchSpace[Any], members: Sequence[Member], manifest: Manifest, folder: Path) -> None:
    for one in members:
        target = folder / "members" / str(one.id)
        target.mkdir(parents=True)
        write_network(space, one.genotype, jax.tree.map(np.asarray, one.variables), manifest, one.facts, target)
    image_shape = ", ".join(map(str, manifest.image_shape))
    names = ", ".join(f'"{one.id}"' for one in members) + ("," if len(members) == 1 else "")
    facts = [
        f"- individual {one.id}: {name} {one.facts[name]}"
        for one in members
        for name in _ACCURACIES
        if name in one.facts
    ]
    # A search space need not write source.
    has_source = all((folder / "members" / str(one.id) / "network.py").exists() for one in members)
    texts = {
        **({"ensemble.py": _SOURCE.format(members=names, image_shape=image_shape)} if has_source else {}),
        "README.md": _README.format(
            number=len(members),
            image_shape=image_shape,
            classes=len(manifest.class_names),
            source=_README_SOURCE if has_source else "",
            facts="\n".join(facts),
        ),
        "class_names.json": json.dumps(manifest.class_names, indent=1) + "\n",
        "images.json": json.dumps({"shape": manifest.image_shape, "pixel_factor": manifest.pixel_factor}) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    (folder / "network.stablehlo").write_bytes(_stablehlo(space, members, manifest))


_ACCURACIES = ("validation accuracy", "test accuracy")


def _stablehlo(space: SearchSpace[Any], members: Sequence[Member], manifest: Manifest) -> bytes:
    networks = [logits_of(space, one.genotype, jax.tree.map(np.asarray, one.variables), manifest) for one in members]
    classes = len(manifest.class_names)

    def ensemble(images: jax.Array) -> jax.Array:
        votes = [jax.nn.one_hot(network(images).argmax(axis=-1), classes) for network in networks]
        # Among equal numbers of votes that of the fittest outweighs those of all others together.
        ranked = sum((1 + 2.0 ** -(place + 2)) * vote for place, vote in enumerate(votes))
        winner = jax.nn.one_hot(jnp.argmax(ranked, axis=-1), classes)
        return jnp.log(jnp.maximum(sum(votes) / len(votes), 1e-9) + 1e-6 * winner)

    return serialised(ensemble, manifest)
