"""The keyword arguments of `evolve`, `resume`, `finish` and `replay`, typed for type checkers.

They are the fields of `Settings`, `Limits` and `Execution`, which document them; a test keeps both equal.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from jaxevo.data.memory import Data
from jaxevo.settings import (
    ComputeDtype,
    CostName,
    Execution,
    ExecutorName,
    InheritanceName,
    KeepName,
    Limits,
    ScheduleName,
    Settings,
)


class SettingsArguments(TypedDict, total=False):
    """Fields of `Settings`; a data set may also be a path or arrays, a door an object of a module."""

    dataset: str | Path | Data
    image_size: str | None
    seed: int
    population_size: int
    num_workers: int | None
    space: str | Callable[..., object]
    selection: str | Callable[..., object]
    fitness: str | Callable[..., object]
    sample_size: int
    pareto_cost: CostName
    inheritance: InheritanceName
    mutations: str | Callable[..., object]
    mutations_per_birth: int
    initial_learning_rate: float
    max_parameters: int | None
    max_flops_per_image: int | None
    budget_births: int
    max_memory: int | None
    wall_clock: bool
    birth_overhead: float
    compile_overhead: float
    virtual_rate: float
    train_steps: int
    batch_size: int
    schedule: ScheduleName
    early_stopping: float | None
    momentum: float
    weight_decay: float
    label_smoothing: float
    batch_norm_decay: float
    crop_padding: int | None
    flip: bool | None
    evaluation_batch_size: int
    compute_dtype: ComputeDtype


class LimitsArguments(TypedDict, total=False):
    """Fields of `Limits`."""

    max_individuals: int | None
    max_flops: float | None
    max_seconds: float | None
    target_accuracy: float | None
    finish_share: float | None


class ExecutionArguments(TypedDict, total=False):
    """Fields of `Execution`."""

    lanes: int | None
    devices_per_lane: int
    lanes_per_device: int | None
    fast: bool
    programs_in_memory: int
    keep: KeepName
    max_deaths: int
    checkpoint_seconds: float
    snapshot_interval: int | None
    trust_code: bool
    trust_doors: str | None
    executor: ExecutorName
    ray_address: str | None
    ray_workers: int | None
    worker_resources: str | None
    lease_seconds: float
    log: str | None


class EvolveArguments(SettingsArguments, LimitsArguments, ExecutionArguments, total=False):
    """The keyword arguments of `evolve` beside a preset."""


class ResumeArguments(LimitsArguments, ExecutionArguments, total=False):
    """The keyword arguments of `Run.resume`."""


def split_arguments(arguments: Mapping[str, Any], *kinds: type[Settings | Limits | Execution]) -> list[dict[str, Any]]:
    """Returns the keyword arguments of each of the given dataclasses.

    Raises:
        ValueError: if an argument is a field of none of them; the message names all fields.
    """
    names = [{field.name for field in dataclasses.fields(kind)} for kind in kinds]
    known = set().union(*names)
    unknown = sorted(arguments.keys() - known)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such setting; there are {', '.join(sorted(known))}")
    return [{name: value for name, value in arguments.items() if name in fields} for fields in names]
