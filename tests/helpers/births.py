"""Births made by hand."""

import dataclasses
from typing import Any

from jaxevo.doors.opening import built_in
from jaxevo.search.births import Birth, Inherited, Outcome, derive
from jaxevo.search.space import Cost, ImageShape, Task
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.genotype import Genotype

SPACE = built_in(Settings()).space
"""The paper's space with default settings."""

COST = Cost(10, 100, 200, 100, 200, 1000)
"""A cost of 10 parameters and 100 FLOPs an image."""


def task_of(image_shape: ImageShape, num_classes: int = 10) -> Task:
    """Returns a task with images of a shape."""
    return Task(image_shape, num_classes, validation_images=100)


def birth_of(
    birth_id: int,
    genotype: Genotype,
    image_shape: ImageShape = (8, 8, 1),
    parent: tuple[Genotype, Outcome] | None = None,
    due: float | None = None,
    **changes: Any,
) -> Birth:
    """Returns a birth; `parent` is the genotype and the outcome of its parent."""
    inherited = None
    if parent is not None:
        _, outcome = parent
        assert outcome.weights is not None and outcome.weights_sha256 is not None
        inherited = Inherited(parent[0], outcome.weights, outcome.weights_sha256)
    derived = derive(genotype, Settings(), SPACE, task_of(image_shape))._asdict()
    birth = Birth(birth_id, None, None, genotype, inherited, float(birth_id) if due is None else due, **derived)
    return dataclasses.replace(birth, **changes)
