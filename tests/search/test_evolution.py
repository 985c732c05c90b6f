"""The evolution, driven by a trainer that trains nothing: its outcomes are hashes of what it is given."""

import collections
import dataclasses
import hashlib
import itertools
import json
import math
import statistics

import numpy as np
import pytest
from helpers.births import birth_of
from helpers.genotypes import INITIAL, ONE_CONVOLUTION, convolution

import jaxevo.search.evolution
from jaxevo.doors.opening import built_in
from jaxevo.search.births import Birth, Derived, Inherited, Initial, Outcome, birth_sha256, individual_flops
from jaxevo.search.evolution import evolution, mutants
from jaxevo.search.selection import Selection, tournament
from jaxevo.search.space import Cost, Mutation, Task
from jaxevo.search.state_json import state_from_json, state_to_json
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost

TASK = Task(input_shape=(8, 8, 1), num_classes=10, validation_images=180)
SMALL = Settings(population_size=12, num_workers=3, train_steps=300, compile_overhead=0.0)
DOORS = built_in(SMALL)
SPACE = DOORS.space

selections = pytest.mark.parametrize("selection", ["tournament", "aging", "pareto", "random"])
population_sizes = pytest.mark.parametrize(
    ("population_size", "num_workers"), [(2, 1), (3, 1), (4, 2), (5, 2), (12, 1), (12, 6), (20, None)]
)


def hashed(birth):
    """Returns a number in [0, 1) that depends on all of a birth."""
    digest = hashlib.sha256(repr(birth).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def trained(birth):
    """Returns an outcome; one in eight trainings fails."""
    fitness = hashed(birth)
    if fitness < 1 / 8:
        return Outcome(birth.id, 0.0, None, None, "the loss is not finite")
    return Outcome(birth.id, fitness, f"weights/{birth.id}", hashlib.sha256(repr(birth).encode()).hexdigest())


def failed(birth):
    return Outcome(birth.id, 0.0, None, None, "the loss is not finite")


class Run:
    """An evolution that goes on event by event and remembers what it saw."""

    def __init__(self, settings, trainer=trained, state=None, warm_start=(), **doors):
        self.settings = settings
        self.evolution = evolution(settings, built_in(settings)._replace(**doors), TASK, warm_start)
        self.trainer = trainer
        self.state = self.evolution.init() if state is None else state
        self.births = {}
        self.told = []

    def ask(self):
        self.state, births = self.evolution.ask(self.state)
        self.births |= {birth.id: birth for birth in births}
        return births

    def step(self):
        """Asks, and tells the outcome that is due next."""
        self.ask()
        birth = self.state.in_flight[0]
        self.told.append(birth)
        self.state = self.evolution.tell(self.state, self.trainer(birth))
        return birth

    def until(self, events):
        while self.state.events < events:
            self.step()
        return self


def living(state):
    return [individual.id for individual in state.population]


# The start.


def test_given_initial_genotypes_begin_in_turn_with_the_weights_that_they_inherit():
    wide = dataclasses.replace(ONE_CONVOLUTION, learning_rate=0.05)
    given = (Initial(ONE_CONVOLUTION, Inherited(ONE_CONVOLUTION, "initial-000000", "abc")), Initial(wide))
    run = Run(SMALL, warm_start=given).until(3 * SMALL.population_size)
    for birth in run.births.values():
        if birth.id < SMALL.population_size:
            begun = given[birth.id % 2]
            assert (birth.parent_id, birth.mutation) == (None, None)
            assert (birth.genotype, birth.inherited) == begun
            assert birth.cost == SPACE.cost(birth.architecture, TASK, SMALL.batch_size, SMALL.evaluation_batch_size)
        else:
            assert birth.parent_id is not None


def test_of_more_initial_genotypes_than_individuals_the_first_are_taken():
    given = tuple(
        Initial(dataclasses.replace(INITIAL, learning_rate=(place + 1) / 100))
        for place in range(SMALL.population_size + 5)
    )
    run = Run(SMALL, warm_start=given).until(2 * SMALL.population_size)
    begun = [birth.genotype for birth in run.births.values() if birth.parent_id is None]
    assert begun == [one.genotype for one in given[: SMALL.population_size]]


def test_a_warm_start_from_what_a_run_begins_with_anyway_is_the_same_run():
    cold, warm = Run(SMALL).until(40), Run(SMALL, warm_start=(Initial(INITIAL),)).until(40)
    assert warm.state == cold.state


def test_other_inherited_weights_are_another_run():
    runs = [
        Run(SMALL, warm_start=(Initial(INITIAL, Inherited(INITIAL, "initial-000000", sha256)),)).until(1)
        for sha256 in ("abc", "def")
    ]
    births = [run.births[0] for run in runs]
    assert birth_sha256(births[0]) != birth_sha256(births[1])


def test_any_initial_genotype_over_budget_is_refused():
    settings = dataclasses.replace(SMALL, max_parameters=100)
    evolution(settings, DOORS, TASK, (Initial(INITIAL),))
    huge = dataclasses.replace(ONE_CONVOLUTION, layers=(convolution(1, 64),))
    with pytest.raises(ValueError, match="max_parameters is 100, .* initial individual"):
        evolution(settings, DOORS, TASK, (Initial(INITIAL), Initial(huge)))


def test_a_warm_start_survives_a_snapshot():
    given = (Initial(ONE_CONVOLUTION, Inherited(ONE_CONVOLUTION, "initial-000000", "abc")),)
    run = Run(SMALL, warm_start=given).until(3)
    run.ask()
    fields = json.loads(json.dumps(state_to_json(run.state, SPACE)))
    assert state_from_json(fields, SMALL, SPACE, TASK) == run.state


def test_a_run_that_has_not_begun_is_empty():
    state = evolution(SMALL, DOORS, TASK).init()
    assert (state.events, state.births, state.clock, state.total_flops) == (0, 0, 0.0, 0)
    assert (len(state.population), len(state.in_flight), state.best) == (0, 0, None)


@selections
@population_sizes
def test_the_first_births_are_initial_individuals(selection, population_size, num_workers):
    settings = Settings(
        population_size=population_size,
        num_workers=num_workers,
        selection=selection,
        initial_learning_rate=0.3,
    )
    run = Run(settings).until(2 * population_size)
    for birth in run.births.values():
        if birth.id < population_size:
            assert birth.genotype == dataclasses.replace(INITIAL, learning_rate=0.3)
            assert (birth.parent_id, birth.mutation, birth.inherited) == (None, None, None)
        else:
            assert birth.parent_id is not None and birth.mutation is not None


def test_births_are_numbered_from_0():
    run = Run(SMALL).until(100)
    assert list(run.births) == list(range(run.state.births)) == list(range(102))


def test_nobody_dies_before_the_population_is_complete():
    run = Run(SMALL)
    for event in range(1, SMALL.population_size - SMALL.num_workers + 1):
        run.step()
        run.ask()
        assert len(run.state.population) == event


# Ask.


@selections
@population_sizes
def test_after_ask_every_worker_trains(selection, population_size, num_workers):
    settings = Settings(population_size=population_size, num_workers=num_workers, selection=selection)
    run = Run(settings)
    for _ in range(150):
        run.ask()
        assert len(run.state.in_flight) == settings.virtual_workers
        run.step()
        assert len(run.state.in_flight) == settings.virtual_workers - 1


def test_asking_again_gives_no_birth_and_changes_nothing():
    run = Run(SMALL).until(50)
    assert len(run.ask()) == 1
    before = run.state
    assert run.ask() == ()
    assert run.state == before


@selections
@population_sizes
def test_the_living_and_those_in_flight_reach_the_set_point_and_never_exceed_it(
    selection, population_size, num_workers
):
    run = Run(Settings(population_size=population_size, num_workers=num_workers, selection=selection))
    for _ in range(300):
        run.ask()
        expected = min(population_size, run.state.births)
        assert len(run.state.population) + len(run.state.in_flight) == expected
        run.step()
        assert len(run.state.population) + len(run.state.in_flight) == expected


@selections
def test_a_parent_lives_when_its_child_is_born(selection):
    run = Run(dataclasses.replace(SMALL, selection=selection))
    for _ in range(200):
        for birth in run.ask():
            assert birth.parent_id is None or birth.parent_id in living(run.state)
        run.step()


@selections
def test_the_dead_stay_dead(selection):
    run = Run(dataclasses.replace(SMALL, selection=selection))
    dead = set()
    for _ in range(200):
        before = set(living(run.state))
        run.ask()
        dead |= before - set(living(run.state))
        told = run.step()
        assert set(living(run.state)) - before <= {told.id}
        assert not dead & set(living(run.state))
    assert len(dead) > 100


def test_births_carry_their_mutation_and_genotype():
    run = Run(dataclasses.replace(SMALL, population_size=40)).until(2000)
    children = [birth for birth in run.births.values() if birth.parent_id is not None]
    assert len({birth.mutation for birth in children}) == 11
    for birth in children:
        parent = run.births[birth.parent_id].genotype
        changes_nothing = birth.mutation in ("IDENTITY", "RESET-WEIGHTS")
        assert (birth.genotype == parent) == changes_nothing


# Selection pressure.


@selections
def test_selection_presses_as_its_name_says(selection):
    run = Run(dataclasses.replace(SMALL, selection=selection))
    advantages = {"victim": [], "parent": []}
    for _ in range(1000):
        before = run.state.population
        births = run.ask()
        average = statistics.mean(individual.accuracy for individual in before) if len(before) else 0.0
        parents = {birth.parent_id for birth in births}
        for individual in before:
            if individual.id not in living(run.state):
                advantages["victim"].append(individual.accuracy - average)
            if individual.id in parents:
                advantages["parent"].append(individual.accuracy - average)
        run.step()
    victim, parent = (statistics.mean(advantages[role]) for role in ("victim", "parent"))
    assert victim < -0.05 if selection in ("tournament", "pareto") else abs(victim) < 0.05
    assert abs(parent) < 0.05 if selection == "random" else parent > 0.05


def test_under_aging_all_live_equally_long_however_long_they_trained():
    """Counted from birth, an individual that took long would be old when it is told: selection against size."""
    settings = dataclasses.replace(SMALL, selection="aging", virtual_rate=1e6)
    run = Run(settings)
    order, lives = [], []
    for _ in range(200):
        run.ask()
        before = run.state.population
        run.step()
        order.append(max(run.state.population, key=lambda individual: individual.event).id)
        run.ask()
        lives += [run.state.events - individual.event for individual in before.without(run.state.population)]
    assert order != sorted(order), "nobody was overtaken"
    assert set(lives) == {settings.population_size - settings.virtual_workers}


def test_under_aging_with_a_sample_of_all_the_fittest_of_the_living_reproduces():
    run = Run(dataclasses.replace(SMALL, selection="aging", sample_size=100))
    for _ in range(200):
        for birth in run.ask():
            if birth.parent_id is not None:
                fittest = max(individual.fitness for individual in run.state.population)
                (parent,) = (other for other in run.state.population if other.id == birth.parent_id)
                assert parent.fitness == fittest
        run.step()


def test_at_random_fitness_does_not_matter_for_who_lives_and_who_reproduces():
    settings = dataclasses.replace(SMALL, selection="random")

    def the_other_way_round(birth):
        return dataclasses.replace(trained(birth), accuracy=1 - trained(birth).accuracy)

    one, other = Run(settings).until(200), Run(settings, the_other_way_round).until(200)
    assert living(one.state) == living(other.state)
    assert list(one.births.values()) == list(other.births.values())


def test_under_tournament_fitness_does_matter():
    def the_other_way_round(birth):
        return dataclasses.replace(trained(birth), accuracy=1 - trained(birth).accuracy)

    one, other = Run(SMALL).until(100), Run(SMALL, the_other_way_round).until(100)
    assert living(one.state) != living(other.state)


# The virtual clock.


def test_a_birth_is_due_after_the_overheads_and_its_flops_at_the_virtual_rate():
    settings = dataclasses.replace(SMALL, birth_overhead=3.0, compile_overhead=0.5, virtual_rate=1e8)
    known = {"ALTER-LEARNING-RATE", "IDENTITY", "RESET-WEIGHTS", None}
    run = Run(settings)
    for _ in range(100):
        clock = run.state.clock
        for birth in run.ask():
            found = cost(
                architecture(birth.genotype, (8, 8, 1)), 10, settings.batch_size, settings.evaluation_batch_size
            )
            assert birth.flops == individual_flops(found, settings.train_steps, settings.batch_size, 180)
            overhead = 3.0 if birth.mutation in known else 3.5
            assert birth.due == pytest.approx(clock + overhead + birth.flops / 1e8, rel=1e-12)
        run.step()


@pytest.mark.parametrize("virtual_rate", [1e6, 2e9, 1e15])
@pytest.mark.parametrize("birth_overhead", [0.0, 1.0])
def test_events_are_told_in_virtual_order_and_ties_by_id(virtual_rate, birth_overhead):
    settings = dataclasses.replace(SMALL, num_workers=6, virtual_rate=virtual_rate, birth_overhead=birth_overhead)
    run = Run(settings).until(200)
    order = [(birth.due, birth.id) for birth in run.told]
    assert order == sorted(order)


def test_initial_individuals_are_due_together_and_told_by_id():
    run = Run(SMALL).until(3)
    assert [birth.id for birth in run.told] == [0, 1, 2]
    assert len({birth.due for birth in run.told}) == 1


def test_big_models_come_back_later():
    run = Run(dataclasses.replace(SMALL, virtual_rate=1e6, compile_overhead=0.0, num_workers=6)).until(200)
    overtaken = [
        (later, earlier)
        for place, earlier in enumerate(run.told)
        for later in run.told[place + 1 :]
        if later.id < earlier.id
    ]
    assert overtaken
    assert all(later.flops > earlier.flops for later, earlier in overtaken)


def test_the_clock_stands_at_the_event_told_last():
    run = Run(SMALL)
    for _ in range(100):
        told = run.step()
        assert run.state.clock == told.due


def test_those_in_flight_stand_in_the_order_in_which_they_are_due():
    run = Run(dataclasses.replace(SMALL, num_workers=6))
    for _ in range(100):
        run.ask()
        order = [(birth.due, birth.id) for birth in run.state.in_flight]
        assert order == sorted(order)
        run.step()


def test_what_the_told_cost_is_added_up():
    run = Run(SMALL).until(100)
    assert run.state.total_flops == sum(birth.flops for birth in run.told)


@pytest.mark.parametrize("num_workers", [1, 2, 4, 6])
def test_the_number_of_workers_shapes_the_result(num_workers):
    other = Run(dataclasses.replace(SMALL, num_workers=num_workers)).until(60)
    assert other.state.fingerprint != Run(SMALL).until(60).state.fingerprint


def test_the_default_number_of_workers_is_a_quarter_of_the_population():
    default, quarter = (Run(Settings(population_size=12, num_workers=workers)).until(60).state for workers in (None, 3))
    assert default == quarter


# Tell.


def test_an_outcome_that_is_in_flight_but_not_due_next_is_refused():
    run = Run(SMALL).until(20)
    run.ask()
    due, *others = run.state.in_flight
    for birth in others:
        with pytest.raises(ValueError, match=rf"individual {birth.id} .*{due.id}"):
            run.evolution.tell(run.state, trained(birth))


@pytest.mark.parametrize("wall_clock", [False, True])
def test_an_outcome_that_is_not_in_flight_is_refused(wall_clock):
    run = Run(dataclasses.replace(SMALL, wall_clock=wall_clock)).until(20)
    run.ask()
    in_flight = {birth.id for birth in run.state.in_flight}
    for number in sorted(set(range(30)) - in_flight):
        with pytest.raises(ValueError, match=f"individual {number} "):
            run.evolution.tell(run.state, Outcome(number, 0.5, "weights", "hash"))


def test_an_outcome_is_refused_before_anything_was_asked():
    run = Run(SMALL)
    with pytest.raises(ValueError, match="individual 0 "):
        run.evolution.tell(run.state, Outcome(0, 0.5, "weights", "hash"))


def test_what_is_told_joins_the_living():
    run = Run(SMALL)
    for _ in range(50):
        birth = run.step()
        (individual,) = (other for other in run.state.population if other.id == birth.id)
        outcome = trained(birth)
        assert dataclasses.asdict(individual) == {
            "id": birth.id,
            "parent_id": birth.parent_id,
            "mutation": birth.mutation,
            "genotype": dataclasses.asdict(birth.genotype),
            "fitness": outcome.accuracy if outcome.failure is None else -math.inf,
            "accuracy": outcome.accuracy,
            "weights": outcome.weights,
            "weights_sha256": outcome.weights_sha256,
            "event": run.state.events,
            "cost": dataclasses.asdict(birth.cost),
            "failure": outcome.failure,
        }


def test_the_best_is_the_fittest_ever_told_although_it_died():
    run = Run(dataclasses.replace(SMALL, selection="aging"), lambda birth: trained_to(birth, 1.0 / (birth.id + 1)))
    run.until(100)
    assert 0 not in living(run.state)
    assert (run.state.best.id, run.state.best.fitness) == (0, 1.0)


def trained_to(birth, fitness):
    return Outcome(birth.id, fitness, f"weights/{birth.id}", f"hash of {birth.id}")


def test_the_best_is_at_every_event_the_fittest_told_so_far():
    run = Run(SMALL)
    for _ in range(100):
        run.step()
        assert run.state.best.fitness == max(trained(birth).accuracy for birth in run.told)


@pytest.mark.parametrize("wall_clock", [False, True])
def test_among_equals_the_best_is_the_earliest(wall_clock):
    run = Run(dataclasses.replace(SMALL, wall_clock=wall_clock), lambda birth: trained_to(birth, 0.5)).until(50)
    assert run.state.best.id == 0


# Inheritance.


def test_a_child_inherits_genotype_and_weights_of_its_parent():
    run = Run(SMALL).until(300)
    heirs = [birth for birth in run.births.values() if birth.inherited is not None]
    assert len(heirs) > 150
    for birth in heirs:
        parent = run.births[birth.parent_id]
        assert birth.inherited.genotype == parent.genotype
        assert birth.inherited.weights == trained(parent).weights
        assert birth.inherited.weights_sha256 == trained(parent).weights_sha256


def inherits_nothing(birth):
    return birth.inherited is None


def test_only_resets_and_children_of_failed_parents_inherit_nothing():
    run = Run(dataclasses.replace(SMALL, selection="random")).until(300)
    reasons = collections.Counter()
    for birth in run.births.values():
        if birth.parent_id is not None:
            reset = birth.mutation == "RESET-WEIGHTS"
            parent_failed = trained(run.births[birth.parent_id]).weights is None
            assert inherits_nothing(birth) == (reset or parent_failed)
            reasons.update({"reset": reset, "parent failed": parent_failed})
    assert min(reasons.values()) > 0


def test_with_inheritance_none_nobody_inherits_but_all_have_parents():
    run = Run(dataclasses.replace(SMALL, inheritance="none")).until(200)
    assert all(inherits_nothing(birth) for birth in run.births.values())
    assert all(birth.parent_id is not None for birth in run.births.values() if birth.id >= 12)


@selections
def test_a_run_whose_trainings_all_fail_goes_on(selection):
    run = Run(dataclasses.replace(SMALL, selection=selection), failed).until(100)
    assert all(inherits_nothing(birth) for birth in run.births.values())
    assert run.state.best.fitness == -math.inf
    assert len(run.state.population) + len(run.state.in_flight) == 12


# Budgets.

BUDGETS = {
    "max_parameters": (35, lambda found: found.parameters),
    "max_flops_per_image": (2000, lambda found: found.forward_flops),
    "max_memory": (300_000, lambda found: found.memory),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_no_birth_is_ever_over_budget(name):
    budget, needed = BUDGETS[name]

    def largest(settings):
        births = Run(settings).until(300).births.values()
        costs = [
            cost(architecture(birth.genotype, (8, 8, 1)), 10, settings.batch_size, settings.evaluation_batch_size)
            for birth in births
        ]
        return max(map(needed, costs))

    assert largest(dataclasses.replace(SMALL, **{name: budget})) <= budget < largest(SMALL)


@pytest.mark.parametrize("name", BUDGETS)
def test_an_initial_individual_may_just_fit_the_budget(name):
    _, needed = BUDGETS[name]
    budget = needed(cost(architecture(INITIAL, (8, 8, 1)), 10, SMALL.batch_size, SMALL.evaluation_batch_size))
    run = Run(dataclasses.replace(SMALL, **{name: budget})).until(40)
    assert run.state.events == 40


@pytest.mark.parametrize("name", BUDGETS)
def test_an_initial_individual_over_budget_is_an_error_that_names_the_setting(name):
    _, needed = BUDGETS[name]
    budget = needed(cost(architecture(INITIAL, (8, 8, 1)), 10, SMALL.batch_size, SMALL.evaluation_batch_size)) - 1
    with pytest.raises(ValueError, match=f"{name} is {budget}, but {budget + 1}"):
        evolution(dataclasses.replace(SMALL, **{name: budget}), DOORS, TASK)


def test_a_rising_budget_lets_later_births_cost_more():
    budget, births = 2_000, 100
    settings = dataclasses.replace(SMALL, max_flops_per_image=budget, budget_births=births)
    costs = [
        cost(architecture(birth.genotype, (8, 8, 1)), 10, settings.batch_size).forward_flops
        for birth in Run(settings).until(300).births.values()
    ]
    for birth_id, needed in enumerate(costs):
        assert needed <= budget * 0.1 ** max(0.0, 1 - birth_id / births) + 1e-6
    assert max(costs[:births]) < max(costs[births:])
    free = Run(dataclasses.replace(SMALL, max_flops_per_image=budget)).until(300).births.values()
    early = [cost(architecture(one.genotype, (8, 8, 1)), 10, 1).forward_flops for one in free if one.id < births // 2]
    assert max(costs[: births // 2]) < max(early)


def test_an_initial_individual_must_fit_the_budget_of_the_first_birth():
    needed = cost(architecture(INITIAL, (8, 8, 1)), 10, SMALL.batch_size).forward_flops
    rising = dataclasses.replace(SMALL, max_flops_per_image=10 * needed - 1, budget_births=5)
    with pytest.raises(ValueError, match="max_flops_per_image"):
        evolution(rising, DOORS, TASK)
    evolution(dataclasses.replace(rising, max_flops_per_image=10 * needed + 1), DOORS, TASK)


# Several mutations a birth, and their odds.


THREE = dataclasses.replace(SMALL, mutations_per_birth=3)


def recorded(monkeypatch):
    """Records every child that a mutation gives, with the mutation's name and the genotype it was given."""
    steps, mutants = [], jaxevo.search.evolution.mutants

    def recording(generator, parent, mutations, task):
        for mutation, child in mutants(generator, parent, mutations, task):
            steps.append((mutation.name, parent, child))
            yield mutation, child

    monkeypatch.setattr(jaxevo.search.evolution, "mutants", recording)
    return steps


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_birth_names_its_mutations_in_the_order_of_their_application(monkeypatch, count):
    steps = recorded(monkeypatch)
    run = Run(dataclasses.replace(SMALL, mutations_per_birth=count)).until(60)
    children = [birth for birth in run.births.values() if birth.parent_id is not None]
    assert len(steps) == count * len(children)
    for place, birth in enumerate(children):
        own = steps[place * count : (place + 1) * count]
        assert birth.mutation == "+".join(name for name, _, _ in own)
        genotype = run.births[birth.parent_id].genotype
        for _, given, child in own:
            assert given == genotype
            genotype = child
        assert birth.genotype == genotype


@pytest.mark.parametrize("name", BUDGETS)
def test_the_budget_holds_after_each_of_several_mutations(monkeypatch, name):
    budget, needed = BUDGETS[name]
    steps = recorded(monkeypatch)
    settings = dataclasses.replace(THREE, **{name: budget})
    run = Run(settings).until(150)

    def over(genotype):
        found = cost(architecture(genotype, (8, 8, 1)), 10, settings.batch_size, settings.evaluation_batch_size)
        return needed(found) > budget

    assert not any(over(given) for _, given, _ in steps)
    assert not any(over(birth.genotype) for birth in run.births.values())
    assert any(over(child) for _, _, child in steps), "nothing was drawn again"


def test_a_birth_inherits_if_all_of_its_mutations_do():
    run = Run(THREE).until(200)
    resets = 0
    for birth in run.births.values():
        if birth.parent_id is not None:
            assert len(birth.mutation.split("+")) == 3
            reset = "RESET-WEIGHTS" in birth.mutation.split("+")
            parent_failed = trained(run.births[birth.parent_id]).weights is None
            assert inherits_nothing(birth) == (reset or parent_failed)
            resets += reset
    assert 0 < resets < 150


def test_several_mutations_reproduce_and_survive_json():
    one, other = Run(THREE).until(60), Run(THREE).until(30)
    state = state_from_json(json.loads(json.dumps(state_to_json(other.state, SPACE))), THREE, SPACE, TASK)
    assert Run(THREE, state=state).until(60).state.fingerprint == one.state.fingerprint


def named(*weights):
    """Returns mutations 0, 1, ... of these weights, which give their number; those of a negative one do not apply."""
    return [
        Mutation(
            str(place), lambda *_, place=place, applies=weight >= 0: place if applies else None, weight=abs(weight)
        )
        for place, weight in enumerate(weights)
    ]


def drawn(mutations, count, seed=0):
    generator = np.random.default_rng(seed)
    return [child for _, child in itertools.islice(mutants(generator, INITIAL, mutations, TASK), count)]


@pytest.mark.parametrize("weights", [(1, 2, 0, 5), (0, 1), (1, 0), (0.3, 0.1, 0, 0), (0, 0, 1, 1)])
def test_mutations_are_drawn_by_weight_and_those_of_weight_0_never(weights):
    counts = collections.Counter(drawn(named(*weights), 2_000))
    assert counts.keys() == {place for place, weight in enumerate(weights) if weight}
    for place in counts:
        share = weights[place] / sum(weights)
        assert abs(counts[place] - 2_000 * share) <= 3.5 * math.sqrt(2_000 * share * (1 - share))


def test_another_is_drawn_for_a_mutation_that_does_not_apply():
    counts = collections.Counter(drawn(named(1, -5, 2), 2_000))
    assert counts.keys() == {0, 2}
    assert abs(counts[0] - 2_000 / 3) <= 3.5 * math.sqrt(2_000 * 2 / 9)


@pytest.mark.parametrize("weight", [1, 0.3])
def test_equal_weights_draw_as_before_there_were_weights(weight):
    """Or old runs would come out differently: one whole number a mutation."""
    generator = np.random.default_rng(4)
    assert drawn(named(*[weight] * 11), 50, seed=4) == [int(generator.integers(11)) for _ in range(50)]


# The same, every time.


@selections
@population_sizes
def test_the_same_seed_gives_the_same_run(selection, population_size, num_workers):
    settings = Settings(population_size=population_size, num_workers=num_workers, selection=selection)
    one, other = Run(settings).until(150), Run(settings).until(150)
    assert one.state == other.state
    assert one.births == other.births


def test_different_seeds_give_different_runs():
    fingerprints = {Run(dataclasses.replace(SMALL, seed=seed)).until(40).state.fingerprint for seed in range(20)}
    assert len(fingerprints) == 20


def test_the_seed_decides_who_reproduces_and_by_which_mutation():
    children = []
    for seed in range(20):
        run = Run(dataclasses.replace(SMALL, seed=seed)).until(10)
        children += run.ask()
    assert len(children) == 20
    assert len({child.parent_id for child in children}) > 2
    assert len({child.mutation for child in children}) > 2


def test_ask_and_tell_leave_the_state_they_are_given_as_it_was():
    run = Run(SMALL)
    for _ in range(100):
        state, before = run.state, json.dumps(state_to_json(run.state, SPACE))
        run.ask()
        asked, before_telling = run.state, json.dumps(state_to_json(run.state, SPACE))
        run.step()
        assert json.dumps(state_to_json(state, SPACE)) == before
        assert json.dumps(state_to_json(asked, SPACE)) == before_telling


def test_ask_and_tell_of_equal_states_give_equal_states():
    run = Run(SMALL).until(60)
    one, other = run.evolution.ask(run.state), run.evolution.ask(run.state)
    assert one == other
    outcome = trained(one[0].in_flight[0])
    assert run.evolution.tell(one[0], outcome) == run.evolution.tell(other[0], outcome)


@pytest.mark.parametrize("events", [1, 11, 12, 13, 60])
def test_a_run_is_the_prefix_of_a_longer_one(events):
    longer = Run(SMALL)
    fingerprints = []
    while longer.state.events < 120:
        longer.step()
        fingerprints.append(longer.state.fingerprint)
    shorter = Run(SMALL).until(events)
    assert shorter.state.fingerprint == fingerprints[events - 1]
    assert shorter.told == longer.told[:events]
    assert shorter.until(120).state == longer.state


def test_the_fingerprint_is_another_after_every_event():
    run = Run(SMALL)
    fingerprints = [run.state.fingerprint]
    for _ in range(100):
        run.step()
        fingerprints.append(run.state.fingerprint)
    assert len(set(fingerprints)) == 101
    assert all(len(fingerprint) == 64 for fingerprint in fingerprints)


@pytest.mark.parametrize("changed_at", [0, 5, 30])
@pytest.mark.parametrize(
    "change",
    [
        lambda outcome: dataclasses.replace(outcome, accuracy=math.nextafter(outcome.accuracy, 2.0)),
        lambda outcome: dataclasses.replace(outcome, weights_sha256="another hash"),
        lambda outcome: Outcome(outcome.id, 0.0, None, None, "the loss is not finite"),
    ],
    ids=["the last bit of a fitness", "a hash of weights", "a failure"],
)
def test_the_fingerprint_tells_outcomes_apart(change, changed_at):
    def trainer(birth):
        outcome = trained_to(birth, 0.25 + hashed(birth) / 2)
        return change(outcome) if birth.id == changed_at else outcome

    def unchanged(birth):
        return trained_to(birth, 0.25 + hashed(birth) / 2)

    one, other = Run(SMALL, unchanged), Run(SMALL, trainer)
    while one.state.events < 60:
        told = one.step()
        other.step()
        if told.id == changed_at:
            break
        assert one.state.fingerprint == other.state.fingerprint
    assert one.state.fingerprint != other.state.fingerprint
    assert one.until(80).state.fingerprint != other.until(80).state.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 1000},
        {"parent_id": 1000},
        {"parent_id": None},
        {"mutation": "another"},
        {"mutation": None},
        birth_of(0, ONE_CONVOLUTION),
        birth_of(0, INITIAL),
    ],
    ids=str,
)
def test_the_fingerprint_covers_what_an_individual_is(changes):
    if isinstance(changes, Birth):  # Another genotype, with all that follows from it.
        changes = {name: getattr(changes, name) for name in ("genotype", *Derived._fields)}
    run = Run(SMALL).until(60)
    run.ask()
    birth = run.state.in_flight[0]
    other = dataclasses.replace(birth, **changes)
    assert other != birth
    state = run.state._replace(in_flight=run.state.in_flight.remove(birth).add(other))
    outcome = trained(birth)
    fingerprint = run.evolution.tell(state, dataclasses.replace(outcome, id=other.id)).fingerprint
    assert fingerprint != run.evolution.tell(run.state, outcome).fingerprint


def test_the_fingerprint_covers_the_event_number():
    run = Run(SMALL).until(60)
    run.ask()
    outcome = trained(run.state.in_flight[0])
    later = run.state._replace(events=61)
    assert run.evolution.tell(later, outcome).fingerprint != run.evolution.tell(run.state, outcome).fingerprint


def test_the_fingerprint_covers_deaths():
    def states(victim):
        selection = Selection(victim=victim, parent=tournament().parent)
        run = Run(SMALL, lambda birth: trained_to(birth, 0.5), selection=selection).until(10)
        told = run.state
        run.ask()
        return told, run.state

    (told, first_died), (told_too, last_died) = (
        states(victim) for victim in (lambda generator, living: 0, lambda generator, living: len(living) - 1)
    )
    assert told == told_too
    assert living(first_died) != living(last_died)
    assert first_died.fingerprint != last_died.fingerprint


def test_without_a_death_asking_leaves_the_fingerprint():
    run = Run(SMALL).until(5)
    before = run.state.fingerprint
    run.ask()
    assert run.state.fingerprint == before


def test_where_weights_are_kept_shapes_nothing():
    # Another attempt writes another folder; what counts is what is in it.
    elsewhere = Run(SMALL, lambda birth: trained_to(birth, birth.id % 7 / 7)).until(80)

    def moved(birth):
        return dataclasses.replace(trained_to(birth, birth.id % 7 / 7), weights=f"attempts/{birth.id}-2")

    assert Run(SMALL, moved).until(80).state.fingerprint == elsewhere.state.fingerprint


# The state as JSON.


@selections
@pytest.mark.parametrize("asked", [False, True])
def test_a_state_survives_json_exactly_at_any_moment(selection, asked):
    run = Run(dataclasses.replace(SMALL, selection=selection))
    for _ in range(120):
        if asked:
            run.ask()
        text = json.dumps(state_to_json(run.state, SPACE))
        read = state_from_json(json.loads(text), run.settings, SPACE, TASK)
        assert read == run.state
        assert json.dumps(state_to_json(read, SPACE)) == text
        run.step()


@selections
@pytest.mark.parametrize("events", [0, 1, 11, 12, 40, 77])
@pytest.mark.parametrize("asked", [False, True])
def test_a_run_goes_on_from_json_as_if_nothing_had_happened(selection, events, asked):
    settings = dataclasses.replace(SMALL, selection=selection)
    run = Run(settings).until(events)
    if asked:
        run.ask()
    read = state_from_json(json.loads(json.dumps(state_to_json(run.state, SPACE))), settings, SPACE, TASK)
    assert Run(settings, state=read).until(120).state == Run(settings).until(120).state


@pytest.mark.parametrize(
    "name", ["events", "births", "clock", "population", "in_flight", "best", "total_flops", "fingerprint"]
)
def test_a_state_without_one_of_its_fields_is_not_read(name):
    fields = state_to_json(Run(SMALL).until(20).state, SPACE)
    del fields[name]
    with pytest.raises((ValueError, KeyError, TypeError), match=name):
        state_from_json(fields, SMALL, SPACE, TASK)


def test_a_state_with_an_unknown_field_is_not_read():
    fields = state_to_json(Run(SMALL).until(20).state, SPACE) | {"colour": 1}
    with pytest.raises((ValueError, KeyError, TypeError), match="colour"):
        state_from_json(fields, SMALL, SPACE, TASK)


def test_a_state_with_a_genotype_that_is_none_is_not_read():
    fields = state_to_json(Run(SMALL).until(20).state, SPACE)
    fields["population"][3]["genotype"]["learning_rate"] = -1.0
    with pytest.raises(ValueError, match="learning_rate"):
        state_from_json(fields, SMALL, SPACE, TASK)


# The wall clock.


def in_wall_clock_order(choose, events=100):
    """Returns the state after outcomes were told in another order, and that order."""
    run = Run(dataclasses.replace(SMALL, wall_clock=True))
    order = []
    while run.state.events < events:
        run.ask()
        birth = choose(run.state.in_flight)
        clock = run.state.clock
        run.state = run.evolution.tell(run.state, trained(birth))
        assert run.state.clock >= clock
        assert len(run.state.in_flight) == SMALL.num_workers - 1
        order.append(birth.id)
    return run.state, order


def test_by_wall_clock_any_outcome_in_flight_may_be_told():
    state, order = in_wall_clock_order(lambda in_flight: max(in_flight, key=hashed))
    assert state.events == 100
    assert order != sorted(order)


def test_by_wall_clock_the_order_of_telling_shapes_the_result():
    orders = [lambda in_flight: in_flight[0], lambda in_flight: in_flight[1], lambda in_flight: in_flight[-1]]
    assert len({in_wall_clock_order(choose)[0].fingerprint for choose in orders}) == 3


def test_by_wall_clock_the_same_order_gives_the_same_run_again():
    state, order = in_wall_clock_order(lambda in_flight: max(in_flight, key=hashed))
    recorded = iter(order)

    def next_recorded(in_flight):
        number = next(recorded)
        return next(birth for birth in in_flight if birth.id == number)

    assert in_wall_clock_order(next_recorded) == (state, order)


def test_by_wall_clock_telling_in_virtual_order_gives_the_virtual_run():
    state, _ = in_wall_clock_order(lambda in_flight: in_flight[0])
    assert state == Run(SMALL).until(100).state


# Small populations and long runs.


@selections
@pytest.mark.parametrize("population_size", [2, 3])
def test_the_smallest_populations_work_for_hundreds_of_events(selection, population_size):
    run = Run(Settings(population_size=population_size, selection=selection, max_parameters=2000)).until(500)
    assert run.state.events == 500
    assert len(run.state.population) == population_size
    assert run.state.births == 500
    assert len({birth.mutation for birth in run.births.values()}) > 5


def test_numbers_of_a_cost_become_pythons_and_what_cannot_be_meant_is_refused():
    cost = Cost(parameters=np.prod((3, 4)), forward_flops=np.int64(7), seconds=np.float32(2.5))
    assert (cost.parameters, cost.forward_flops, cost.seconds) == (12, 7, 2.5)
    assert [type(value) for value in (cost.parameters, cost.forward_flops, cost.seconds)] == [int, int, float]
    for name, value in (("seconds", math.nan), ("parameters", -1), ("memory", math.inf), ("forward_flops", "many")):
        with pytest.raises(ValueError, match=f"the cost {name} is"):
            Cost(**{name: value})
