"""jaxevo from Python: evolve, open what a run left behind, take the network away."""

import dataclasses
import json
import signal
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxevo.environment import prepare_process
from jaxevo.reports.drawing import drawing_text
from jaxevo.search.population import Individual, Population
from jaxevo.settings import PRESETS, Execution, Limits, Settings
from jaxevo.signals import INTERRUPTED_STATUS
from jaxevo.spaces import space_from
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.storage.history import History, task_of_manifest
from jaxevo.storage.workdir import Manifest, Workdir, check_path

if TYPE_CHECKING:
    import pandas

    from jaxevo.spaces.large_scale.network import Phenotype

_RUNS = Path("runs")
_SWITCHES = {field.name for kind in (Settings, Execution) for field in dataclasses.fields(kind) if field.type is bool}
"""Settings whose flag takes no value."""


class Network:
    """A trained individual of a run.

    Attributes:
        individual: its genotype, fitness and lineage.
        test_accuracy: in [0, 1]; selection never saw it.
    """

    def __init__(
        self, manifest: Manifest, workdir: Workdir, individual: Individual, test_accuracy: float, kept: bool
    ) -> None:
        """Names the individual; its weights, if they are kept, are read when they are asked for."""
        self.individual = individual
        self.test_accuracy = test_accuracy
        self._manifest = manifest
        self._workdir = workdir
        self._kept = kept

    @property
    def genotype(self) -> Genotype:
        """What evolution made of it."""
        return self.individual.genotype

    @property
    def validation_accuracy(self) -> float:
        """Its fitness, in [0, 1]."""
        return self.individual.fitness

    @cached_property
    def module(self) -> "Phenotype":
        """The Flax module: `module.apply(variables, images, train=False)` gives logits.

        Its images are float32 [batch, height, width, channels], normalised: `(pixels / 255 - mean) / deviation`.
        """
        from jaxevo.spaces.large_scale.network import make_phenotype

        manifest = self._manifest
        compiled = architecture(self.genotype, manifest.image_shape)
        return make_phenotype(compiled, len(manifest.class_names), manifest.settings)

    @cached_property
    def variables(self) -> dict[str, Any]:
        """The trained arrays, {"params": ..., "batch_stats": ...}, NumPy.

        Raises:
            ValueError: if the individual lives no more, or they are missing or altered.
        """
        from jaxevo.storage.checkpoint import WeightStore

        one = self.individual
        if one.weights is None or one.weights_sha256 is None:
            raise ValueError(f"individual {one.id} has no weights: its training failed")
        if not self._kept and not (self._workdir.weights / one.weights).exists():
            raise ValueError(
                f"individual {one.id} lives no more, and only the weights of the living and of the best ever are kept: "
                f"choose one that 'jaxevo show {self._workdir.path}' lists in the population"
            )
        return WeightStore(self._workdir.weights, space_from(self._manifest.settings)).load(
            one.weights, one.weights_sha256, one.genotype
        )

    def describe(self) -> str:
        """Returns the network as text, one line a layer, shapes included."""
        space = space_from(self._manifest.settings)
        return drawing_text(space.drawing(self.genotype, task_of_manifest(self._manifest)))


class Run:
    """What a work folder holds, up to its last told event (or to where it stopped).

    Attributes:
        path: the work folder.
        settings: that shaped the run.
    """

    def __init__(self, path: str | Path, max_events: int | None = None) -> None:
        """Reads a run, or its first `max_events` events, without training anything.

        The weights of whom an earlier moment had are kept only if they live, or are the best, in the end.

        Raises:
            ValueError: where the folder holds no run or is damaged, or `max_events` is no number, 0 or more.
        """
        if max_events is not None and (type(max_events) is not int or max_events < 0):
            raise ValueError(f"max_events is {max_events!r}, but must be a whole number, 0 or more")
        self._earlier = max_events is not None
        self.path = check_path(str(path))
        self._workdir = Workdir(self.path)
        self._history = History(self._workdir, max_events)
        self.settings: Settings = self._history.manifest.settings

    @property
    def manifest(self) -> Manifest:
        """Settings, versions, device, data."""
        return self._history.manifest

    @property
    def events(self) -> int:
        """Individuals trained and told."""
        return self._history.state.events

    @property
    def fingerprint(self) -> str:
        """Sha256 over the whole history up to `events`: every individual, fitness bit, death and weights hash."""
        return self._history.state.fingerprint

    @property
    def population(self) -> Population:
        """The living."""
        return self._history.state.population

    @cached_property
    def history(self) -> "pandas.DataFrame":
        """One row an individual, in the order of events."""
        return self._history.frame()

    @property
    def skipped(self) -> list[int]:
        """Individuals that the user had skipped; unless there are none, the seed alone does not give the run again."""
        return self._history.skipped

    @property
    def result(self) -> dict[str, Any]:
        """What `result.json` holds; empty unless the last session came to one of its limits."""
        path = self._workdir.result
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def best(self) -> Network:
        """The fittest network ever by validation accuracy, the earliest among equals.

        Raises:
            ValueError: if no individual has finished yet.
        """
        return self.network(self._history.best)

    def individual(self, individual_id: int) -> Individual:
        """Returns an individual, dead or alive; raises `ValueError` if there is none with that id."""
        if individual_id not in self._history.lives:
            raise ValueError(f"individual is {individual_id}, but the run has {self.events} finished ones so far")
        return self._history.lives[individual_id].individual

    def network(self, individual: Individual) -> Network:
        """Returns an individual as a network; the weights of the dead are not kept, but for the best's."""
        accuracy = self.test_accuracy(individual.id)
        lives = self._history.lives[individual.id].death is None or individual == self._history.best
        return Network(
            self.manifest,
            self._workdir,
            individual,
            float("nan") if accuracy is None else accuracy,
            kept=lives and not self._earlier,
        )

    def lineage(self, individual_id: int) -> list[Individual]:
        """Returns an individual's ancestors, the first one first, and itself."""
        return self._history.lineage(individual_id)

    def test_accuracy(self, individual_id: int) -> float | None:
        """Returns an individual's test accuracy, which evolution never saw; None when its training failed."""
        return self._history.lives[individual_id].record.test_accuracy


def evolve(
    workdir: str | Path | None = None,
    *,
    preset: str = "demo",
    **changes: Any,
) -> Run:
    """Evolves image classifiers and returns the finished run.

    Where this process has begun to use JAX with other settings, the run takes place in a process of its own.

    Args:
        workdir: where to keep the run; default: a new folder under `runs`.
        preset: settings and limits to start from: demo, small or paper.
        **changes: fields of `Settings`, `Limits` and `Execution` that differ from the preset's, such as
            `dataset="digits"`, `seed=0`, `max_individuals=100`, `lanes=1`.

    Raises:
        ValueError: with a sentence, for a setting, data set or folder that will not do.
        KeyboardInterrupt: when a signal stopped the run, which `jaxevo resume` goes on with.
        RuntimeError: if the run's own process failed; its output says why.
    """
    settings, limits, execution = preset_with(preset, changes)
    path = check_path(str(workdir)) if workdir is not None else new_workdir(settings)
    if prepare_process(execution):
        from jaxevo.reports.progress import watch
        from jaxevo.reports.result import write_result
        from jaxevo.session.progress import INTERRUPTED
        from jaxevo.session.run import start_run

        with watch() as watcher:
            ended = start_run(path, settings, limits, execution, watcher)
        if ended.stop_reason == INTERRUPTED:
            raise KeyboardInterrupt(_stopped(path))
        write_result(path)
    else:
        _run_in_child(path, _command(path, preset, changes))
    return Run(path)


def _stopped(path: Path) -> str:
    return f"stopped; nothing that had finished is lost: jaxevo resume {path}"


def preset_with(preset: str, changes: dict[str, Any]) -> tuple[Settings, Limits, Execution]:
    """Returns a preset with some fields changed; raises `ValueError` for an unknown one."""
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}, but must be one of {', '.join(PRESETS)}")
    settings, limits = PRESETS[preset]
    kinds = (Settings, Limits, Execution)
    names = {kind: {field.name for field in dataclasses.fields(kind)} for kind in kinds}
    known = set().union(*names.values())
    unknown = sorted(changes.keys() - known)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such setting; there are {', '.join(sorted(known))}")
    given = {kind: {name: changes[name] for name in changes if name in names[kind]} for kind in kinds}
    return (
        dataclasses.replace(settings, **given[Settings]),
        dataclasses.replace(limits, **given[Limits]),
        Execution(**given[Execution]),
    )


def new_workdir(settings: Settings) -> Path:
    """Returns a folder under `runs`, named for data set and seed, that does not exist yet."""
    name = f"{Path(settings.dataset).stem}-seed{settings.seed}"
    number = 1
    while (path := _RUNS / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _command(path: Path, preset: str, changes: dict[str, Any]) -> list[str]:
    """Returns the command line that evolves the same run."""
    flags = {"workdir": path, "preset": preset, **changes}
    command = [sys.executable, "-m", "jaxevo", "run"]
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        if name not in _SWITCHES:
            command.append(f"{flag}={value}")
        elif value:
            command.append(flag)
    return command


def _run_in_child(path: Path, command: list[str]) -> None:
    """Runs a command and prints its output as it comes (a notebook shows no child's output by itself)."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                print(line, end="", flush=True)
                lines.append(line)
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            print(child.stdout.read(), end="")
            child.wait()
    if child.returncode == INTERRUPTED_STATUS:
        raise KeyboardInterrupt(_stopped(path))
    if child.returncode != 0:
        last = lines[-1].strip() if lines else f"exit status {child.returncode}"
        error = ValueError if child.returncode == 2 else RuntimeError
        raise error(f"the run's process ended: {last}")
