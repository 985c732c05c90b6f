"""Take the initial individuals of a new run from an earlier run, or from a genotype in a file."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxevo.data import Dataset, load
from jaxevo.doors.trust import NOTHING, Trust
from jaxevo.search.space import SearchSpace
from jaxevo.settings import Settings
from jaxevo.storage.checkpoint import CheckpointError, WeightStore, remove_weights
from jaxevo.storage.history import History
from jaxevo.storage.lock import is_locked
from jaxevo.storage.manifest import Manifest
from jaxevo.storage.run_data import load_run_data
from jaxevo.storage.warm_start import WarmStart, initial_individuals
from jaxevo.storage.workdir import Workdir, WorkdirError, weight_names


class Origin(NamedTuple):
    """The source of initial individuals, with the place of their weights.

    Attributes:
        warm_start: what the manifest records; None for a run that begins from nothing.
        folder: the folder of the source's weights.
        names: names of the weights there, in the order of the initial individuals; empty for fresh weights.
    """

    warm_start: WarmStart | None
    folder: Path
    names: tuple[str, ...] = ()


def read_origin(
    from_run: Path | None,
    from_genotype: Path | None,
    settings: Settings,
    dataset: Dataset,
    space: SearchSpace[Any],
    trust: Trust = NOTHING,
) -> Origin:
    """Returns the source of a new run's initial individuals; writes nothing.

    Args:
        from_run: work folder whose living population begins the new run.
        from_genotype: file with the genotype of every initial individual.
        settings: of the new run.
        dataset: of the new run.
        space: of the new run.
        trust: whose code may run to read the earlier run.

    Raises:
        ValueError: if both are given, or the source is not valid or does not fit the new run.
    """
    if from_run is not None and from_genotype is not None:
        raise ValueError(f"from_genotype is {from_genotype}, but must be left out beside from_run {from_run}")
    if from_run is not None:
        return _of_run(from_run, settings, dataset, space, trust)
    warm_start = None if from_genotype is None else _of_genotype(from_genotype, space)
    return Origin(warm_start, Path())


def _of_run(path: Path, settings: Settings, dataset: Dataset, space: SearchSpace[Any], trust: Trust) -> Origin:
    if settings.inheritance == "none":
        raise ValueError(
            f"from_run is {path}, whose weights the initial individuals inherit, but inheritance is 'none': choose "
            "another inheritance, or give --from-genotype, which takes no weights"
        )
    history = History(Workdir(path), trust=trust)
    manifest = history.manifest
    _check_task(path, manifest, settings, dataset)
    living = [one for one in history.state.population if one.weights is not None]
    chosen = sorted(living, key=lambda one: (-one.fitness, one.id))[: settings.population_size]
    if not chosen:
        raise ValueError(f"from_run is {path}, but no individual with weights lives there: resume that run first")
    earlier = manifest.warm_start.trained_on if manifest.warm_start is not None else ()
    own = (manifest.settings.dataset, manifest.data_fingerprint)
    trained_on = (*(one for one in earlier if one[1] != own[1]), own)
    for name, fingerprint in trained_on:
        if fingerprint != dataset.fingerprint:
            _check_unseen(path, name, _trained_on(path, manifest, name, fingerprint), dataset)
    genotypes = tuple(history.space.to_json(one.genotype) for one in chosen)
    _check_space(path, manifest, settings, space, genotypes[0])
    warm_start = WarmStart(
        source=path.absolute().name,
        sha256=history.state.fingerprint,
        events=history.state.events,
        trained_on=trained_on,
        genotypes=genotypes,
        weights_sha256=tuple(str(one.weights_sha256) for one in chosen),
    )
    return Origin(warm_start, Workdir(path).weights, tuple(str(one.weights) for one in chosen))


def _of_genotype(path: Path, space: SearchSpace[Any]) -> WarmStart:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"from_genotype is {path}, which cannot be read ({error.strerror}): give a JSON file, such as the "
            "genotype.json beside the weights of a run"
        ) from error
    try:
        value = json.loads(content)
        # A row of a history holds the genotype among other facts.
        fields = value["genotype"] if isinstance(value, dict) and "genotype" in value else value
        genotype = space.from_json(fields)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"from_genotype is {path}, which holds no genotype ({error}): give a JSON file such as the genotype.json "
            "beside the weights of a run"
        ) from error
    return WarmStart(
        source=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        events=None,
        trained_on=(),
        genotypes=(space.to_json(genotype),),
        weights_sha256=(),
    )


def _check_space(
    path: Path, manifest: Manifest, settings: Settings, space: SearchSpace[Any], genotype: dict[str, Any]
) -> None:
    """Raises `ValueError` unless the search space of the new run reads a genotype of the earlier one."""
    try:
        space.from_json(genotype)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"from_run is {path}, whose search space is {manifest.settings.space!r}, but that of the new run, "
            f"{settings.space!r}, cannot read its genotypes ({error}): give the same --space"
        ) from error


def _check_task(path: Path, manifest: Manifest, settings: Settings, dataset: Dataset) -> None:
    """Raises `ValueError` unless weights of a run fit the images and classes of a data set."""
    given = (manifest.image_shape, len(manifest.class_names))
    wanted = (dataset.image_shape, dataset.num_classes)
    if given != wanted:
        raise ValueError(
            f"from_run is {path}, whose images are {given[0]} (height, width, channels) in {given[1]} classes, but "
            f"those of dataset {settings.dataset!r} are {wanted[0]} in {wanted[1]}: give --dataset "
            f"{manifest.settings.dataset}, or --from-genotype, which takes no weights"
        )


def _trained_on(path: Path, manifest: Manifest, name: str, fingerprint: str) -> Dataset:
    """Returns a data set that the weights of a run were trained on: its own, or one of the runs it began with.

    Raises:
        ValueError: if it is not found, or has changed.
    """
    why = "so that none of the new validation and test images is among its training images"
    try:
        if fingerprint == manifest.data_fingerprint:
            return load_run_data(Workdir(path), manifest)
        # All images that the weights were trained on had one shape, whatever size is natural to each data set.
        height, width = manifest.image_shape[:2]
        earlier = load(name, f"{height}x{width}", recorded=True)
    except WorkdirError as error:
        raise ValueError(
            f"from_run is {path}, trained on {name!r}, which has changed since, or lies neither there nor beside the "
            f"run, but is needed, {why}: restore it"
        ) from error
    except ValueError as error:
        raise ValueError(f"from_run is {path}, trained on {name!r}, which is needed, {why}: {error}") from error
    if earlier.fingerprint != fingerprint:
        raise ValueError(
            f"from_run is {path}, trained on {name!r}, which has changed since, but is needed, {why}: restore it"
        )
    return earlier


def _check_unseen(path: Path, name: str, earlier: Dataset, dataset: Dataset) -> None:
    """Raises `ValueError` if weights were trained on images that the new run validates or tests with.

    Images that the new run trains on as well are not counted: then the new data set itself repeats them.
    """
    seen = _hashes(earlier.train.images) - _hashes(dataset.train.images)
    known = {
        part: sum(_hash(image) in seen for image in split.images)
        for part, split in (("validation", dataset.validation), ("test", dataset.test))
    }
    if any(known.values()):
        raise ValueError(
            f"from_run is {path}, whose weights were trained on {known['validation']} of the validation images and "
            f"{known['test']} of the test images of the new data set (they are training images of {name!r}): leave "
            "these images out, or give --from-genotype, which takes no weights"
        )


def _hashes(images: np.ndarray) -> set[bytes]:
    return {_hash(image) for image in images}


def _hash(image: np.ndarray) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def copy_initial_weights(
    folder: Path, names: Sequence[str], workdir: Workdir, manifest: Manifest, space: SearchSpace[Any]
) -> None:
    """Copies weights into a new work folder as those of its initial individuals; they are durable afterwards.

    Args:
        folder: the folder of weights to copy from.
        names: names of the weights there, in the order of the initial individuals.
        workdir: the new work folder.
        manifest: its manifest.
        space: its search space.

    Raises:
        CheckpointError: if weights are missing, or differ from their hash.
        WorkdirError: if weights are missing because their run goes on.
    """
    remove_weights(workdir.weights, weight_names(workdir.weights))  # A start that was killed may have left some.
    source, target = WeightStore(folder, space), WeightStore(workdir.weights, space)
    begun = [one.inherited for one in initial_individuals(manifest.warm_start, space) if one.inherited is not None]
    for name, inherited in zip(names, begun, strict=True):
        try:
            variables = source.load(name, inherited.weights_sha256, inherited.genotype)
        except CheckpointError as error:
            if not is_locked(folder.parent):
                raise
            raise WorkdirError(
                f"the run in {folder.parent} goes on, and has removed weights meanwhile: try again, at the latest when "
                "it has ended"
            ) from error
        target.save(inherited.weights, inherited.genotype, variables)
