"""Asynchronous evolution that is the same every time: `init`, `ask`, `tell` over an immutable state.

The workers of Real et al. 2017 race, so no two of their runs agree. Here the race is run on a virtual clock: each of
`num_workers` virtual workers trains an individual for a virtual duration, an overhead plus its FLOPs over a rate, and
outcomes are told in the order of virtual finish, ties by id. What a machine really takes never shapes the result.

Nothing here trains, and nothing knows JAX or files.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxevo.search.in_flight import InFlight
from jaxevo.search.population import Individual, Population
from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.search.selection import selection_from
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.cost import Cost, cost, individual_flops
from jaxevo.spaces.large_scale.genotype import Genotype, ImageShape, architecture, genotype_from_json
from jaxevo.spaces.large_scale.mutation import RESET_WEIGHTS, mutate


@dataclass(frozen=True)
class Task:
    """What evolution must know of the images.

    Attributes:
        image_shape: height, width, channels.
        num_classes: classes to tell apart.
        validation_images: images a validation takes.
    """

    image_shape: ImageShape
    num_classes: int
    validation_images: int


@dataclass(frozen=True)
class Inherited:
    """What a parent bequeaths.

    Attributes:
        genotype: the parent's.
        weights: the folder of the parent's weights.
        weights_sha256: their hash.
    """

    genotype: Genotype
    weights: str
    weights_sha256: str


@dataclass(frozen=True)
class Birth:
    """One child to train, with all that its training needs beside data and settings.

    Attributes:
        id: its number, from 0.
        parent_id: whose child it is, None for an initial individual.
        mutation: what made it, None for an initial individual.
        genotype: what to train.
        inherited: what its training starts from, None where nothing is inherited.
        due: when its outcome is told, in virtual seconds.
        flops: what training and validation cost.
    """

    id: int
    parent_id: int | None
    mutation: str | None
    genotype: Genotype
    inherited: Inherited | None
    due: float
    flops: int


@dataclass(frozen=True)
class Outcome:
    """What the training of a birth gave, as far as evolution may know.

    Attributes:
        id: of the birth.
        fitness: validation accuracy in [0, 1]; 0 when the training failed.
        weights: the folder of the trained weights, None when the training failed.
        weights_sha256: their hash, None when the training failed.
        failure: why the training failed, None when it did not.
    """

    id: int
    fitness: float
    weights: str | None
    weights_sha256: str | None
    failure: str | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` for a fitness outside [0, 1]: compared with it, no tournament would make sense."""
        if not 0 <= self.fitness <= 1:
            raise ValueError(f"the fitness of individual {self.id} is {self.fitness}, but must be in [0, 1]")


class EvolutionState(NamedTuple):
    """Where a run stands, between two of its steps.

    Attributes:
        events: outcomes told.
        births: births made; the next one's id.
        clock: virtual seconds.
        population: the living.
        in_flight: births whose outcome has not been told, by (due, id).
        best: the fittest ever told, the earliest among equals.
        total_flops: what the told individuals cost together.
        fingerprint: sha256 over the whole history so far.
    """

    events: int
    births: int
    clock: float
    population: Population
    in_flight: InFlight[Birth]
    best: Individual | None
    total_flops: int
    fingerprint: str

    @property
    def best_trained(self) -> Individual | None:
        """The best, None where every training failed."""
        return self.best if self.best is not None and self.best.weights is not None else None


class Evolution(NamedTuple):
    """The algorithm as pure functions.

    Attributes:
        init: `() -> state` of a run that has not begun.
        ask: `(state) -> (state, births)`: a birth for every idle virtual worker, and the deaths that make room. It is
            asked after every event, when the worker becomes idle.
        tell: `(state, outcome) -> state`. Raises `ValueError` for an outcome that is not the one due next (under
            `wall_clock`: for one that is not in flight).
    """

    init: Callable[[], EvolutionState]
    ask: Callable[[EvolutionState], tuple[EvolutionState, tuple[Birth, ...]]]
    tell: Callable[[EvolutionState, Outcome], EvolutionState]


def evolution(settings: Settings, task: Task) -> Evolution:
    """Returns the evolution that the settings describe.

    Raises:
        ValueError: if an initial individual is over a budget, naming the setting.
    """
    selection = selection_from(settings)
    initial = Genotype(float(settings.initial_learning_rate))
    over = over_budget(initial, settings, task)
    if over is not None:
        raise ValueError(f"{over}: even an initial individual does not fit; raise the budget")

    def init() -> EvolutionState:
        return EvolutionState(0, 0, 0.0, Population(), InFlight(), None, 0, hashlib.sha256(b"").hexdigest())

    def ask(state: EvolutionState) -> tuple[EvolutionState, tuple[Birth, ...]]:
        births: list[Birth] = []
        while len(state.in_flight) < settings.workers:
            state, birth = next_birth(state)
            births.append(birth)
        return state, tuple(births)

    def next_birth(state: EvolutionState) -> tuple[EvolutionState, Birth]:
        """A worker's turn: tournaments kill while the population is at its set-point, then one reproduces."""
        if state.births < settings.population_size:
            return send(state, None, None, initial)
        generator = keyed_generator(settings.seed, state.births, Purpose.SELECTION)
        while len(state.population) + len(state.in_flight) >= settings.population_size:
            state = kill(state, selection.victim(generator, state.population))
        parent = state.population[selection.parent(generator, state.population)]
        mutation, genotype = mutate(
            keyed_generator(settings.seed, state.births, Purpose.MUTATION),
            parent.genotype,
            task.image_shape,
            lambda child: over_budget(child, settings, task) is None,
        )
        return send(state, parent, mutation, genotype)

    def kill(state: EvolutionState, index: int) -> EvolutionState:
        fingerprint = _chain(state.fingerprint, "death", state.events, state.population[index].id)
        return state._replace(population=state.population.remove(index), fingerprint=fingerprint)

    def send(
        state: EvolutionState, parent: Individual | None, mutation: str | None, genotype: Genotype
    ) -> tuple[EvolutionState, Birth]:
        flops = individual_flops(
            genotype_cost(genotype, settings, task),
            settings.train_steps,
            settings.batch_size,
            task.validation_images,
        )
        overhead = settings.birth_overhead
        if parent is not None and not genotype.computes_as(parent.genotype):
            overhead += settings.compile_overhead
        birth = Birth(
            id=state.births,
            parent_id=None if parent is None else parent.id,
            mutation=mutation,
            genotype=genotype,
            inherited=bequest(parent, mutation),
            due=state.clock + overhead + flops / settings.virtual_rate,
            flops=flops,
        )
        return state._replace(births=state.births + 1, in_flight=state.in_flight.add(birth)), birth

    def bequest(parent: Individual | None, mutation: str | None) -> Inherited | None:
        if parent is None or mutation == RESET_WEIGHTS or settings.inheritance == "none":
            return None
        if parent.weights is None or parent.weights_sha256 is None:
            return None  # Its training failed.
        return Inherited(parent.genotype, parent.weights, parent.weights_sha256)

    def tell(state: EvolutionState, outcome: Outcome) -> EvolutionState:
        birth = state.in_flight.find(outcome.id)
        if birth is None or (birth is not state.in_flight[0] and not settings.wall_clock):
            due = [other.id for other in state.in_flight][: None if settings.wall_clock else 1]
            raise ValueError(f"an outcome of individual {outcome.id} was told, but due is one of {due}")
        individual = Individual(
            birth.id,
            birth.parent_id,
            birth.mutation,
            birth.genotype,
            outcome.fitness,
            outcome.weights,
            outcome.weights_sha256,
        )
        return EvolutionState(
            events=state.events + 1,
            births=state.births,
            # Under wall_clock an outcome may come before its virtual time; the clock never goes back.
            clock=max(state.clock, birth.due),
            population=state.population.add(individual),
            in_flight=state.in_flight.remove(birth),
            best=fitter(state.best, individual),
            total_flops=state.total_flops + birth.flops,
            fingerprint=_chain(
                state.fingerprint,
                "event",
                state.events + 1,
                individual.id,
                individual.parent_id,
                individual.mutation,
                individual.genotype.sha256,
                struct.pack(">d", individual.fitness).hex(),
                individual.weights_sha256,
            ),
        )

    return Evolution(init, ask, tell)


def fitter(best: Individual | None, other: Individual) -> Individual:
    """Returns the fitter of two individuals, of equals the earlier born."""
    if best is None:
        return other
    return other if (-other.fitness, other.id) < (-best.fitness, best.id) else best


def genotype_cost(genotype: Genotype, settings: Settings, task: Task) -> Cost:
    """Returns what a genotype costs under these settings."""
    compiled = architecture(genotype, task.image_shape)
    return cost(compiled, task.num_classes, settings.batch_size, settings.evaluation_batch_size)


def over_budget(genotype: Genotype, settings: Settings, task: Task) -> str | None:
    """Returns a sentence that names the budget a genotype breaks, or None."""
    if settings.max_parameters is None and settings.max_flops_per_image is None and settings.max_memory is None:
        return None  # Spares the host the counting.
    needed = genotype_cost(genotype, settings, task)
    for name, value in (
        ("max_parameters", needed.parameters),
        ("max_flops_per_image", needed.forward_flops),
        ("max_memory", needed.memory),
    ):
        budget = getattr(settings, name)
        if budget is not None and value > budget:
            return f"{name} is {budget}, but {value} are needed"
    return None


def state_to_json(state: EvolutionState) -> dict[str, Any]:
    """Returns the state as JSON values; `state_from_json` reads them back exactly."""
    return {
        **{name: getattr(state, name) for name in ("events", "births", "clock", "total_flops", "fingerprint")},
        "population": [_to_json(individual) for individual in state.population],
        "in_flight": [_to_json(birth) for birth in state.in_flight],
        "best": None if state.best is None else _to_json(state.best),
    }


def state_from_json(fields: dict[str, Any]) -> EvolutionState:
    """Reads what `state_to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: if the fields are not those of a state.
    """
    population = Population(Individual(**_from_json(individual)) for individual in fields["population"])
    in_flight = InFlight(Birth(**_from_json(birth)) for birth in fields["in_flight"])
    best = None if fields["best"] is None else Individual(**_from_json(fields["best"]))
    return EvolutionState(**{**fields, "population": population, "in_flight": in_flight, "best": best})


def _to_json(record: Individual | Birth | Inherited) -> dict[str, Any]:
    fields = dict(vars(record))
    for name, value in fields.items():
        if isinstance(value, Genotype):
            fields[name] = value.to_json()
        elif isinstance(value, Inherited):
            fields[name] = _to_json(value)
    return fields


def _from_json(fields: dict[str, Any]) -> dict[str, Any]:
    read = dict(fields, genotype=genotype_from_json(fields["genotype"]))
    if read.get("inherited") is not None:
        read["inherited"] = Inherited(**_from_json(read["inherited"]))
    return read


def birth_sha256(birth: Birth) -> str:
    """Returns the hash of what was decided with a birth: whose child, by which mutation, what it is and inherits.

    Which attempt gave the parent's weights is left out: it decides nothing.
    """
    inherited = None if birth.inherited is None else birth.inherited.weights_sha256
    decided = birth.id, birth.parent_id, birth.mutation, birth.genotype.sha256, inherited, birth.due, birth.flops
    return _chain("birth", *decided)


def _chain(fingerprint: str, *facts: str | float | None) -> str:
    """Returns the fingerprint of a history that goes on with some facts: numbers, names and hashes, without spaces."""
    return hashlib.sha256(" ".join(map(str, (fingerprint, *facts))).encode()).hexdigest()
