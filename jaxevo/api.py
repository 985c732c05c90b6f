"""jaxevo from Python: evolve, and open what a run left behind."""

import dataclasses
from pathlib import Path
from typing import Any, Unpack

from jaxevo.reports.arguments import EvolveArguments, split_arguments
from jaxevo.reports.child import carry_out
from jaxevo.reports.jobs import Begin
from jaxevo.reports.run import Run
from jaxevo.settings import PRESETS, Execution, Limits, PresetName, Settings
from jaxevo.storage.workdir import check_path

_RUNS = Path("runs")


def evolve(
    workdir: str | Path | None = None, *, preset: PresetName = "demo", **changes: Unpack[EvolveArguments]
) -> Run:
    """Evolves image classifiers and returns the finished run.

    If this process has begun to use JAX with other settings, the run takes place in a process of its own.

    Args:
        workdir: where to keep the run; default: a new folder under `runs`.
        preset: settings and limits to start from: demo, small or paper.
        **changes: fields of `Settings`, `Limits` and `Execution` that differ from the preset's, such as
            `dataset="digits"`, `seed=0`, `max_individuals=100`, `lanes=1`.

    Raises:
        ValueError: with a sentence, for a setting, data set or folder that will not do.
        RuntimeError: if a training could not be carried out.
        KeyboardInterrupt: if a signal stopped the run; `jaxevo.open(workdir).resume()` goes on.
    """
    settings, limits, execution = preset_with(preset, changes)
    path = check_path(str(workdir)) if workdir is not None else new_workdir(settings)
    return begin(path, settings, limits, execution)


def begin(path: Path, settings: Settings, limits: Limits, execution: Execution) -> Run:
    """Evolves in a new folder and returns the finished run; raises as `evolve` does."""
    carry_out(Begin(path, execution, settings, limits))
    return Run(path)


def open(workdir: str | Path, max_events: int | None = None) -> Run:
    """Opens what a run left in its work folder, or its first `max_events` events, without training anything.

    Raises:
        ValueError: if the folder holds no run, is damaged, or holds other decisions than this version of jaxevo comes
            to.
    """
    return Run(workdir, max_events)


def preset_with(preset: str, changes: Any) -> tuple[Settings, Limits, Execution]:
    """Returns a preset with some fields changed; raises `ValueError` for an unknown one."""
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}, but must be one of {', '.join(PRESETS)}")
    settings, limits = PRESETS[preset]
    of_settings, of_limits, of_execution = split_arguments(changes, Settings, Limits, Execution)
    return (
        dataclasses.replace(settings, **of_settings),
        dataclasses.replace(limits, **of_limits),
        Execution(**of_execution),
    )


def new_workdir(settings: Settings) -> Path:
    """Returns a folder under `runs`, named for data set and seed, that does not exist yet."""
    name = f"{Path(settings.dataset).stem}-seed{settings.seed}"
    number = 1
    while (path := _RUNS / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path
