"""A child's initial arrays: its parent's where the inheritance allows it, fresh ones otherwise.

Fresh arrays depend on (seed, individual, layer, array) only. NumPy makes them, so that nothing compiles.
"""

import collections
import hashlib
import math
from typing import Any

import numpy as np

from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.settings import InheritanceName
from jaxevo.spaces.large_scale.architecture import computing_layers
from jaxevo.spaces.large_scale.genotype import IMAGE, Genotype
from jaxevo.spaces.large_scale.morphing import Moments, normalising_to, overlapped, passing_on, rectified_moments
from jaxevo.spaces.network_space import Variables

_CLASSIFIER = IMAGE  # No layer has this id, so it can be the classifier's.
_ARRAYS = ("kernel", "bias", "scale", "mean", "var")


def first_variables(
    seed: int,
    individual_id: int,
    genotype: Genotype,
    shapes: Variables,
    parent: tuple[Genotype, Variables] | None,
    inheritance: InheritanceName = "shape",
) -> Variables:
    """Returns the initial arrays of an individual's training, NumPy float32.

    Args:
        seed: the run's seed.
        individual_id: id of the individual.
        genotype: of the individual.
        shapes: of its arrays, as `network.variable_shapes` returns them.
        parent: the parent's genotype and trained variables, or None if nothing is inherited.
        inheritance: shape: arrays of the same layer and shape. overlap: also the overlapping part of arrays of another
            shape. morph: as overlap, and new parts preserve what the parent computes (`morphing`).
    """
    morphs = inheritance == "morph"
    if morphs and parent is not None and genotype.convolutions and not parent[0].convolutions:
        parent = None  # A classifier of pixels is no start for one of features.
    layer_ids = _layer_ids(genotype)
    bequeathed = _by_layer(*parent) if parent is not None else {}
    variables: Variables = {}
    inserted: list[int] = []
    for collection, modules in shapes.items():
        variables[collection] = {}
        places = _places(modules)
        for module, arrays in modules.items():
            layer_id = layer_ids[_position(module)]
            first = {}
            for name, shape in arrays.items():
                inherited = bequeathed.get((collection, layer_id, _kind(module), name))
                if inherited is not None and inherited.shape == shape.shape:
                    first[name] = np.asarray(inherited)
                    continue
                first[name] = _fresh(seed, individual_id, layer_id, places[module], name, shape.shape)
                if inherited is not None and inheritance != "shape":
                    first[name] = overlapped(np.asarray(inherited), first[name], name, preserving=morphs)
                elif inherited is None and morphs and parent is not None and _kind(module) == "convolution_":
                    first[name] = passing_on(first[name])
                    inserted.append(_position(module))
            variables[collection][module] = first
    _preserve_moments(variables, sorted(inserted))
    return variables


def _preserve_moments(variables: Variables, inserted: list[int]) -> None:
    """Makes the normalisation of inserted convolutions preserve its input, if that is normalised and rectified too."""
    params, statistics = variables["params"], variables["batch_stats"]
    known: dict[int, Moments] = {}
    for position in inserted:
        name, before = f"batch_norm_{position}", f"batch_norm_{position - 1}"
        if name not in params or before not in params:
            continue
        moments = known.get(position - 1) or rectified_moments(params[before]["scale"], params[before]["bias"])
        changed = normalising_to(moments, params[name] | statistics[name])
        params[name] = {array: changed[array] for array in params[name]}
        statistics[name] = {array: changed[array] for array in statistics[name]}
        if len(moments[0]) >= len(changed["mean"]):
            known[position] = moments


def _fresh(seed: int, individual_id: int, layer_id: int, place: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a fresh array: He-normal filters and classifier (He et al. 2015), unit normalisation, zero bias."""
    if name in ("scale", "var"):
        return np.ones(shape, np.float32)
    if name in ("bias", "mean"):
        return np.zeros(shape, np.float32)
    if name in _ARRAYS:
        sub_index = place * len(_ARRAYS) + _ARRAYS.index(name)
    else:  # Of a layer type from outside.
        sub_index = int.from_bytes(hashlib.sha256(f"{place} {name}".encode()).digest()[:6])
    generator = keyed_generator(seed, individual_id, Purpose.INITIAL_ARRAY, layer_id, sub_index)
    fan_in = math.prod(shape[:-1])
    return generator.standard_normal(shape, np.float32) * np.float32(math.sqrt(2.0 / fan_in))


def _places(modules: dict[str, Any]) -> dict[str, int]:
    """Returns each module's index among the modules of its layer with random arrays, so that their numbers differ."""
    places: dict[str, int] = {}
    drawn: collections.Counter[int] = collections.Counter()
    for module in sorted(modules):
        places[module] = drawn[_position(module)]
        drawn[_position(module)] += "kernel" in modules[module]
    return places


def _layer_ids(genotype: Genotype) -> dict[int, int]:
    """Returns the layer id at every position of the architecture; position 0 is the classifier."""
    positions = {position: layer.id for position, layer in enumerate(computing_layers(genotype), start=1)}
    return {0: _CLASSIFIER} | positions


def _by_layer(genotype: Genotype, variables: Variables) -> dict[tuple[str, int, str, str], np.ndarray]:
    """Returns an individual's arrays by the key of their lookup: (collection, layer id, kind of module, array name)."""
    layer_ids = _layer_ids(genotype)
    return {
        (collection, layer_ids[_position(module)], _kind(module), name): array
        for collection, modules in variables.items()
        for module, arrays in modules.items()
        for name, array in arrays.items()
    }


def _position(module: str) -> int:
    """Returns the position at the end of a module's name; 0 for the classifier."""
    _, _, position = module.rpartition("_")
    return int(position) if position.isdigit() else 0


def _kind(module: str) -> str:
    """Returns a module's name without its position."""
    return module.rstrip("0123456789")
