"""Asynchronous evolution in a reproducible order: `init`, `ask`, `tell` over an immutable state.

The workers of Real et al. 2017 race, so no two of their runs agree. Here they race on a virtual clock: each of
`num_workers` virtual workers trains an individual for a virtual duration, an overhead plus its FLOPs over a rate, and
outcomes are told in the order of virtual finish, ties by id. Real training times never affect the result.

This module trains nothing. It knows no JAX, no files, and nothing inside a genotype.
"""

import dataclasses
import hashlib
import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxevo.search.births import Birth, Derived, Inherited, Initial, Outcome, chained, derive, spent_flops
from jaxevo.search.budgets import over_budget
from jaxevo.search.doors import Doors
from jaxevo.search.early_stopping import CheckHistory, extended, thresholds
from jaxevo.search.fitness import Fitness, fitness_of
from jaxevo.search.in_flight import InFlight
from jaxevo.search.population import Individual, Population
from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.search.space import G, Mutation, SearchSpace, Task
from jaxevo.settings import Settings

_MOST_DRAWS = 10_000
"""Mutations drawn in vain after which there is certainly none."""


class EvolutionState(NamedTuple):
    """The state of an evolution between two steps.

    Attributes:
        events: number of outcomes told.
        births: number of births made, which is also the id of the next one.
        clock: virtual time, in seconds.
        population: the living individuals.
        in_flight: births whose outcome has not been told, by (due, id).
        best: the fittest individual ever told, the earliest born of equals.
        best_accuracy: the highest validation accuracy ever told.
        total_flops: FLOPs of all told individuals together: those of the steps done, of checks and of validation.
        fingerprint: sha256 of the whole history so far.
        checks: accuracies at the checks of those told last, from which thresholds of births follow.
    """

    events: int
    births: int
    clock: float
    population: Population
    in_flight: InFlight[Birth]
    best: Individual | None
    total_flops: int
    fingerprint: str
    checks: CheckHistory = ()
    best_accuracy: float = 0.0

    @property
    def best_trained(self) -> Individual | None:
        """The best individual, None if every training has failed."""
        return self.best if self.best is not None and self.best.failure is None else None


class Evolution(NamedTuple):
    """The algorithm as pure functions.

    Attributes:
        init: `() -> state` of a new run.
        ask: `(state) -> (state, births)`: a birth for each idle virtual worker, with the deaths that make room. Call
            it after every event, since an event leaves a worker idle.
        tell: `(state, outcome) -> state`. Raises `ValueError` for an outcome that is not the next one due (under
            `wall_clock`: for one that is not in flight).
    """

    init: Callable[[], EvolutionState]
    ask: Callable[[EvolutionState], tuple[EvolutionState, tuple[Birth, ...]]]
    tell: Callable[[EvolutionState, Outcome], EvolutionState]


def evolution(settings: Settings, doors: Doors, task: Task, warm_start: Sequence[Initial] = ()) -> Evolution:
    """Returns the evolution that the settings describe.

    Args:
        settings: of the run.
        doors: space, mutations, selection and fitness.
        task: to solve.
        warm_start: beginnings of the initial individuals, used in turn until the population has its size; empty for
            the space's initial genotypes with fresh weights.

    Raises:
        ValueError: if an initial individual is over a budget, naming the setting.
    """
    if warm_start:
        # The budget rises with networks that grow from nothing, and these have grown.
        settings = dataclasses.replace(settings, budget_births=0)
    space, mutations, selection, fitness = doors
    beginnings = warm_start or _drawn(settings, space, task)
    initial = [(one, derive(one.genotype, settings, space, task)) for one in beginnings]
    for _, derived in initial:
        over = over_budget(derived.cost, settings, birth_id=0)
        if over is not None:
            less = ", or lower budget_births" if over.rising else ""
            raise ValueError(f"{over.sentence}: even an initial individual exceeds it; raise the budget{less}")

    def ask(state: EvolutionState) -> tuple[EvolutionState, tuple[Birth, ...]]:
        births: list[Birth] = []
        while len(state.in_flight) < settings.virtual_workers:
            state, birth = next_birth(state)
            births.append(birth)
        return state, tuple(births)

    def next_birth(state: EvolutionState) -> tuple[EvolutionState, Birth]:
        """Makes a birth: first victims die while the population is at its target size, then a parent reproduces."""
        if state.births < settings.population_size:
            begun, derived = initial[state.births % len(initial)]
            return send(state, None, (), begun.genotype, begun.inherited, derived)
        generator = keyed_generator(settings.seed, state.births, Purpose.SELECTION)
        while len(state.population) + len(state.in_flight) >= settings.population_size:
            state = _kill(state, selection.victim(generator, state.population))
        parent = state.population[selection.parent(generator, state.population)]
        generator = keyed_generator(settings.seed, state.births, Purpose.MUTATION)
        applied: list[Mutation[Any]] = []
        genotype = parent.genotype
        for _ in range(settings.mutations_per_birth):
            mutation, genotype, derived = mutated(generator, genotype, state.births)
            applied.append(mutation)
        return send(state, parent, applied, genotype, _bequest(settings, parent, applied), derived)

    def mutated(generator: np.random.Generator, genotype: Any, birth_id: int) -> tuple[Mutation[Any], Any, Derived]:
        """Applies one mutation. A child over budget is not a failed individual: another mutation is drawn."""
        drawn = mutants(generator, genotype, mutations, task)
        grown = ((mutation, child, derive(child, settings, space, task)) for mutation, child in drawn)
        for one in itertools.islice(grown, _MOST_DRAWS):
            if over_budget(one[2].cost, settings, birth_id) is None:
                return one
        raise ValueError(f"no mutation of individual {birth_id}'s parent is within the budgets: raise them")

    def send(
        state: EvolutionState,
        parent: Individual | None,
        applied: Sequence[Mutation[Any]],
        genotype: Any,
        inherited: Inherited | None,
        derived: Derived,
    ) -> tuple[EvolutionState, Birth]:
        overhead = settings.birth_overhead
        if parent is not None and not space.alike(genotype, parent.genotype):
            overhead += settings.compile_overhead
        # Without inheritance all children start alike.
        checked = parent is not None and (inherited is not None or settings.inheritance == "none")
        quantile = settings.early_stopping if checked else None
        birth = Birth(
            id=state.births,
            parent_id=None if parent is None else parent.id,
            mutation="+".join(mutation.name for mutation in applied) or None,
            genotype=genotype,
            inherited=inherited,
            due=state.clock + overhead + _virtual_seconds(derived, settings),
            **derived._asdict(),
            thresholds=() if quantile is None else thresholds(state.checks, quantile, settings.train_steps),
        )
        return state._replace(births=state.births + 1, in_flight=state.in_flight.add(birth)), birth

    return Evolution(first_state, ask, lambda state, outcome: _tell(settings, fitness, task, state, outcome))


def _drawn(settings: Settings, space: SearchSpace[Any], task: Task) -> list[Initial]:
    """Returns the beginnings of a population that the space draws."""
    return [
        Initial(space.initial(keyed_generator(settings.seed, birth_id, Purpose.INITIAL_GENOTYPE), task))
        for birth_id in range(settings.population_size)
    ]


def _virtual_seconds(derived: Derived, settings: Settings) -> float:
    """Returns the virtual seconds of a training, without overheads."""
    seconds = derived.cost.seconds
    return derived.flops / settings.virtual_rate if seconds is None else seconds


def mutants(
    generator: np.random.Generator, parent: G, mutations: Sequence[Mutation[G]], task: Task
) -> Iterator[tuple[Mutation[G], G]]:
    """Yields children of a parent without end, each by one mutation drawn by weight.

    If a mutation does not apply, another is drawn, so one of weight above 0 must always apply.

    Raises:
        ValueError: if many in a row do not apply.
    """
    odds = np.cumsum([mutation.weight for mutation in mutations])
    uniform = all(mutation.weight == mutations[0].weight for mutation in mutations)
    in_vain = 0
    while in_vain < _MOST_DRAWS:
        if uniform:
            index = int(generator.integers(len(mutations)))
        else:
            index = int(np.searchsorted(odds, generator.random() * odds[-1], side="right"))
        mutation = mutations[index]
        child = mutation.apply(generator, parent, task)
        in_vain += 1
        if child is not None:
            in_vain = 0
            yield mutation, child
    names = ", ".join(one.name for one in mutations)
    raise ValueError(f"none of the mutations {names} applies to {parent}: one of weight above 0 must always apply")


def fitter(best: Individual | None, other: Individual) -> Individual:
    """Returns the fitter of two individuals; of equals, the earlier born."""
    if best is None:
        return other
    return other if (-other.fitness, other.id) < (-best.fitness, best.id) else best


def first_state() -> EvolutionState:
    """Returns the state of a run before its first event."""
    return EvolutionState(0, 0, 0.0, Population(), InFlight(), None, 0, hashlib.sha256(b"").hexdigest())


def _kill(state: EvolutionState, index: int) -> EvolutionState:
    fingerprint = death_fingerprint(state.fingerprint, state.events, state.population[index].id)
    return state._replace(population=state.population.remove(index), fingerprint=fingerprint)


def _bequest(settings: Settings, parent: Individual, applied: Sequence[Mutation[Any]]) -> Inherited | None:
    inherits = all(mutation.inherits for mutation in applied)
    if not inherits or settings.inheritance == "none":
        return None
    if parent.weights is None or parent.weights_sha256 is None:
        return None  # Its training failed, or nothing is trained.
    return Inherited(parent.genotype, parent.weights, parent.weights_sha256)


def _tell(settings: Settings, fitness: Fitness, task: Task, state: EvolutionState, outcome: Outcome) -> EvolutionState:
    birth = state.in_flight.find(outcome.id)
    if birth is None or (birth is not state.in_flight[0] and not settings.wall_clock):
        due = [other.id for other in state.in_flight][: None if settings.wall_clock else 1]
        raise ValueError(f"the outcome of individual {outcome.id} was told, but one of {due} is due")
    individual = Individual(
        birth.id,
        birth.parent_id,
        birth.mutation,
        birth.genotype,
        fitness_of(fitness, outcome, birth.cost),
        outcome.accuracy,
        outcome.weights,
        outcome.weights_sha256,
        event=state.events + 1,
        cost=birth.cost,
        failure=outcome.failure,
    )
    return EvolutionState(
        events=individual.event,
        births=state.births,
        # Under wall_clock an outcome may come after one that is due later; the clock never goes back.
        clock=max(state.clock, birth.due),
        population=state.population.add(individual),
        in_flight=state.in_flight.remove(birth),
        best=fitter(state.best, individual),
        total_flops=state.total_flops + spent_flops(birth.cost, outcome, settings, task),
        fingerprint=event_fingerprint(state.fingerprint, individual, birth.genotype_sha256, outcome),
        checks=extended(state.checks, outcome.checks),
        best_accuracy=max(state.best_accuracy, individual.accuracy),
    )


def event_fingerprint(fingerprint: str, individual: Individual, genotype_sha256: str, outcome: Outcome) -> str:
    """Returns the fingerprint after the event that told an individual."""
    return chained(
        fingerprint,
        "event",
        individual.event,
        individual.id,
        individual.parent_id,
        individual.mutation,
        genotype_sha256,
        _bits(0.0 if individual.failure is not None else individual.fitness),
        individual.weights_sha256,
        *((outcome.stopped_at, *map(_bits, outcome.checks)) if outcome.checks else ()),
    )


def death_fingerprint(fingerprint: str, events: int, individual_id: int) -> str:
    """Returns the fingerprint after a death, which follows the event of that number."""
    return chained(fingerprint, "death", events, individual_id)


def _bits(number: float) -> str:
    """Returns all bits of a number as text."""
    return struct.pack(">d", number).hex()
