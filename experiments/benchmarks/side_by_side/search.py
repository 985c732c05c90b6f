"""The cost of search loops: host time for an individual, with a trainer that does nothing.

jaxevo's side is the real host loop with evolution, journal and forced writes, as in `experiments.benchmarks.scale`.
PyGlove keeps everything in memory. Ray Tune writes the state of its experiment, and every trial is an actor process.
"""

import dataclasses
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LAYERS = 8


@dataclass(frozen=True)
class Search:
    """A search to measure.

    Attributes:
        individuals: to measure, after the first population.
        population_size: individuals, or trials of population-based training.
        sample_size: individuals in a tournament.
    """

    individuals: int
    population_size: int
    sample_size: int


@dataclass(frozen=True)
class SearchCost:
    """The cost of a search loop for one individual, in microseconds.

    Attributes:
        wall: wall time.
        processor: processor time of the searching process.
    """

    wall: float
    processor: float

    def to_json(self) -> dict[str, float]:
        """Returns the cost as JSON values."""
        return dataclasses.asdict(self)


def measure(side: str, search: Search) -> SearchCost:
    """Measures the search loop of a side in this process."""
    measures: dict[str, Callable[[Search], SearchCost]] = {"jaxevo": _jaxevo, "pyglove": _pyglove, "ray": _ray}
    return measures[side](search)


def _jaxevo(search: Search) -> SearchCost:
    from experiments.benchmarks.scale.durations import Durations
    from experiments.benchmarks.scale.scenarios import DIGITS
    from experiments.benchmarks.scale.throughput import Load, measure_here
    from jaxevo.settings import Settings

    settings = Settings(
        population_size=search.population_size, sample_size=search.sample_size, selection="aging", train_steps=300
    )
    # Records come one at a time and each is forced to disk alone, the most expensive case.
    load = Load(settings, DIGITS, os.cpu_count() or 1, Durations(1.0, 0.0, 1e12), 0.3, search.individuals)
    found = measure_here(load)
    return SearchCost(1e6 / found.events_a_second, found.host_microseconds)


def _pyglove(search: Search) -> SearchCost:
    import pyglove

    def layer() -> Any:
        # Independent genes: a space whose genes depend on each other is several times slower.
        return pyglove.Dict(
            operation=pyglove.oneof(["identity", "convolution"]),
            channels=pyglove.oneof([0.5, 1.0, 1.5, 2.0]),
            half_height=pyglove.oneof([0, 1, 2]),
            half_width=pyglove.oneof([0, 1, 2]),
            log2_stride=pyglove.oneof([0, 1, 2]),
            activation=pyglove.oneof(["linear", "batch_norm_relu"]),
        )

    space = pyglove.Dict(
        learning_rate=pyglove.floatv(0.001, 1.0), layers=pyglove.List([layer() for _ in range(_LAYERS)])
    )
    evolution = pyglove.evolution.regularized_evolution(
        population_size=search.population_size, tournament_size=search.sample_size, seed=0
    )
    first = search.population_size
    meter = _Meter()
    for number, (example, feedback) in enumerate(
        pyglove.sample(space, evolution, num_examples=first + search.individuals), start=1
    ):
        feedback(_fitness(example.learning_rate))
        if number == first:
            meter = _Meter()
    return meter.cost(search.individuals)


def _ray(search: Search) -> SearchCost:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Otherwise it prints a table every second.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    # Anyone who reaches a Ray can run code with it, so this one stays on the loopback interface.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray
    from ray import tune
    from ray.tune.schedulers import PopulationBasedTraining

    class Nothing(tune.Trainable):
        """A trial that trains nothing; a step stands for the training of one individual."""

        def setup(self, config: dict[str, float]) -> None:
            self.learning_rate = config["learning_rate"]

        def step(self) -> dict[str, float]:
            return {"fitness": _fitness(self.learning_rate)}

        def save_checkpoint(self, checkpoint_dir: str) -> dict[str, float]:
            return {"learning_rate": self.learning_rate}

        def load_checkpoint(self, checkpoint: dict[str, float]) -> None:
            pass

        def reset_config(self, new_config: dict[str, float]) -> bool:
            self.learning_rate = new_config["learning_rate"]
            return True

    trials, costs = min(search.population_size, os.cpu_count() or 1), []
    few = 2
    many = few + max(1, search.individuals // trials)
    ray.init("local", include_dashboard=False, log_to_driver=False, configure_logging=False)
    # The first one pays for late imports and does not count.
    for steps in (few, few, many):
        with tempfile.TemporaryDirectory() as folder:
            scheduler = PopulationBasedTraining(
                time_attr="training_iteration",
                perturbation_interval=1,
                hyperparam_mutations={"learning_rate": lambda: random.uniform(0.001, 1.0)},
            )
            tuner = tune.Tuner(
                Nothing,
                param_space={"learning_rate": tune.uniform(0.001, 1.0)},
                tune_config=tune.TuneConfig(
                    scheduler=scheduler, metric="fitness", mode="max", num_samples=trials, reuse_actors=True
                ),
                run_config=tune.RunConfig(storage_path=folder, stop={"training_iteration": steps}, verbose=0),
            )
            meter = _Meter()
            tuner.fit()
            costs.append(meter.cost(1))
    ray.shutdown()
    # The difference leaves out the start of the trials.
    _, short, long = costs
    steps = trials * (many - few)
    return SearchCost((long.wall - short.wall) / steps, (long.processor - short.processor) / steps)


def _fitness(learning_rate: float) -> float:
    return 1.0 - abs(learning_rate - 0.1)


class _Meter:
    """Wall and processor time since its creation."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def cost(self, individuals: int) -> SearchCost:
        """Returns the cost of each of `individuals` individuals so far."""
        wall, processor = time.perf_counter() - self._wall, time.process_time() - self._processor
        return SearchCost(1e6 * wall / individuals, 1e6 * processor / individuals)


def median(costs: list[SearchCost]) -> SearchCost:
    """Returns the median of each field."""
    return SearchCost(
        statistics.median(cost.wall for cost in costs), statistics.median(cost.processor for cost in costs)
    )
