"""The Python interface: evolve image classifiers, and open runs."""

import contextlib
import dataclasses
import tempfile
from pathlib import Path
from typing import Any, Unpack

from jaxevo.data import absolute_name
from jaxevo.data.memory import Data
from jaxevo.doors.source import door_text
from jaxevo.doors.spec import KINDS
from jaxevo.presets import PRESETS, PresetName, preset_beside
from jaxevo.reports.arguments import EvolveArguments, split_arguments
from jaxevo.reports.child import carry_out
from jaxevo.reports.jobs import Begin
from jaxevo.reports.run import Run
from jaxevo.session.events import OnEvent
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.workdir import check_path

_RUNS = Path("runs")


def evolve(
    workdir: str | Path | None = None,
    *,
    preset: PresetName = "demo",
    from_run: str | Path | None = None,
    from_genotype: str | Path | None = None,
    on_event: OnEvent | None = None,
    **changes: Unpack[EvolveArguments],
) -> Run:
    """Evolves image classifiers and returns the finished run.

    If JAX already runs in this process with other settings, the run takes place in a child process.

    Args:
        workdir: new work folder; by default a folder under `runs`.
        preset: preset of settings and limits to start from.
        from_run: work folder of an earlier run. Its living population, the fittest first, begins the new run, with its
            weights; image shape and number of classes must be the same.
        from_genotype: JSON file with one genotype, such as the `genotype.json` beside the weights of a run, from which
            all initial individuals start, with fresh weights.
        on_event: called after every told event, in this process, with a record of it (`jaxevo.session.events.Event`);
            may return "stop" to end the run there. An error in it ends the session cleanly and is raised; the run can
            be resumed.
        **changes: fields of `Settings`, `Limits` and `Execution` that differ from the preset, such as
            `dataset="digits"`, `seed=0`, `max_individuals=100` or `lanes=1`. `dataset` may be a path, or arrays in
            memory, `jaxevo.Data(...)`, which the run keeps in its work folder. `space`, `mutations`, `selection` and
            `fitness` may be functions or classes of a module. `max_individuals`, `max_flops` or `max_seconds` takes
            the place of the preset's FLOPs.

    Raises:
        ValueError: if a setting, data set or folder is not valid.
        RuntimeError: if a training could not be carried out.
        KeyboardInterrupt: if a signal stopped the run; `jaxevo.open(workdir).resume()` resumes it.
    """
    given: Any = _named(dict(changes))
    data = given.get("dataset")
    with contextlib.ExitStack() as stack:
        if isinstance(data, Data):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jaxevo-data-"))
            given = given | {"dataset": Path(folder, "data.npz")}
        settings, limits, execution = preset_with(preset, given)
        path = check_path(str(workdir)) if workdir is not None else new_workdir(settings)
        if isinstance(data, Data):
            data.save(given["dataset"])
        return begin(
            path,
            settings,
            limits,
            execution,
            from_run=from_run,
            from_genotype=from_genotype,
            keep_data=isinstance(data, Data),
            on_event=on_event,
        )


def begin(
    path: Path,
    settings: Settings,
    limits: Limits,
    execution: Execution,
    *,
    from_run: str | Path | None = None,
    from_genotype: str | Path | None = None,
    keep_data: bool = False,
    on_event: OnEvent | None = None,
) -> Run:
    """Begins a run in a new folder and returns it when it has finished; raises as `evolve` does.

    With `keep_data` the run keeps its data set, an `.npz` file, in its work folder.
    """
    settings = dataclasses.replace(settings, dataset=absolute_name(settings.dataset))
    carry_out(Begin(path, execution, settings, limits, _path(from_run), _path(from_genotype), keep_data), on_event)
    return Run(path, trust_code=True)  # The user named its doors.


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given).expanduser()


def open(
    workdir: str | Path,
    max_events: int | None = None,
    dataset: str | Path | None = None,
    *,
    trust_code: bool = False,
    trust_doors: str | None = None,
) -> Run:
    """Opens a run, or its first `max_events` events, without training anything.

    Args:
        workdir: the work folder.
        max_events: number of events, None for all.
        dataset: name or path of the data set, if it has moved without the work folder.
        trust_code: True to run the code from outside that the run names: its search space, mutations, selection or
            fitness. Without it such a run is read, but no decision is recomputed and no network runs.
        trust_doors: doors whose code may run, named as when the run began; several with spaces between them.

    Raises:
        ValueError: if the folder holds no run or is damaged, or its decisions differ from those of this version of
            jaxevo.
    """
    return Run(workdir, max_events, dataset, trust_code=trust_code, trust_doors=trust_doors)


def preset_with(preset: str, changes: Any) -> tuple[Settings, Limits, Execution]:
    """Returns a preset with some fields changed; raises `ValueError` for an unknown preset or field."""
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}, but must be one of {', '.join(PRESETS)}")
    settings, limits = preset_beside(preset, changes)
    of_settings, of_limits, of_execution = split_arguments(changes, Settings, Limits, Execution)
    return (
        dataclasses.replace(settings, **of_settings),
        dataclasses.replace(limits, **of_limits),
        Execution(**of_execution),
    )


def _named(changes: dict[str, Any]) -> dict[str, Any]:
    """Returns keyword arguments with the doors among them as text."""
    objects = {kind: changes[kind] for kind in KINDS if kind in changes and not isinstance(changes[kind], str)}
    return changes | {kind: door_text(kind, one) for kind, one in objects.items()}


def new_workdir(settings: Settings) -> Path:
    """Returns a new folder name under `runs`, made of data set and seed."""
    name = f"{Path(settings.dataset).stem}-seed{settings.seed}"
    number = 1
    while (path := _RUNS / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path.absolute()
