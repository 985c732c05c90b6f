"""The simulated scenarios: two kinds of machine, and the evolutions whose births they train."""

from dataclasses import dataclass

from experiments.benchmarks.scale.durations import Durations
from experiments.benchmarks.scale.workload import Workload, evolved
from jaxevo.search.space import Task
from jaxevo.settings import Limits, Settings
from jaxevo.storage.machine import Machine
from jaxevo.storage.manifest import Manifest

DIGITS = Task(input_shape=(8, 8, 1), num_classes=10, validation_images=180)
CIFAR10 = Task(input_shape=(32, 32, 3), num_classes=10, validation_images=5_000)

FITTED = Durations(floor=0.46, compile_seconds=1.33, rate=4.7e8)
"""Times on one of two CPU lanes, of 2026-11-24 and the preset `demo` of that day; the package has the command."""

FLOPS_A_BIRTH = 1.8e11
"""FLOPs of an average birth in the scenario of accelerators."""


def manifest_of(settings: Settings, task: Task, limits: Limits) -> Manifest:
    """Returns the manifest of a run without images."""
    channels = task.image_shape[2] * (0.5,)
    classes = tuple(map(str, range(task.num_classes)))
    machine = Machine({}, "simulated", "simulated", "", 1, "", (), (), None)
    return Manifest(
        settings, limits, "", task.image_shape, classes, channels, channels, task.validation_images, machine
    )


@dataclass(frozen=True)
class Scenario:
    """Lanes of one kind, the births they train, and the virtual clocks to compare.

    Attributes:
        name: heading of the table.
        durations: the model of training times.
        settings: of the evolution whose births are trained.
        task: of that evolution.
        clocks: settings `(birth_overhead, compile_overhead, virtual_rate)` to compare.
    """

    name: str
    durations: Durations
    settings: Settings
    task: Task
    clocks: tuple[tuple[float, float, float], ...]

    def workload(self, generations: tuple[int, int] = (2, 10)) -> Workload:
        """Returns the births of generations `[first, last)`; generation 0 fills the population."""
        size = self.settings.population_size
        return evolved(self.settings, self.task, *(number * size for number in generations))


def cpu(durations: Durations) -> Scenario:
    """Returns the scenario of CPU lanes: a small network takes the floor, compiling several times as much."""
    settings = Settings(population_size=250, train_steps=300)
    clock = settings.birth_overhead, settings.compile_overhead, settings.virtual_rate
    fitted = durations.floor, durations.compile_seconds, durations.rate
    without_compiling, without_either = (clock[0], 0.0, clock[2]), (0.0, 0.0, clock[2])
    clocks = clock, fitted, without_compiling, without_either
    return Scenario("CPU lanes, durations fitted to a run", durations, settings, DIGITS, clocks)


def accelerators() -> Scenario:
    """Returns the scenario of accelerators and of the paper's number of steps: FLOPs decide the training times."""
    durations = Durations(floor=10.0, compile_seconds=30.0, rate=FLOPS_A_BIRTH / 100)
    overheads = ((10.0, 30.0), (10.0, 0.0), (100.0, 0.0), (0.0, 0.0))
    clocks = tuple((birth, compiling, durations.rate) for birth, compiling in overheads)
    settings = Settings(population_size=250, train_steps=25_600)
    name = "Accelerators: 100 s of FLOPs an average birth, 10 s of overhead, 30 s to compile"
    return Scenario(name, durations, settings, CIFAR10, clocks)
