"""Who dies and who reproduces: the paper's tournament, aging, NSGA-II, and the control."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest
from helpers.births import COST
from helpers.genotypes import INITIAL

from jaxevo.search.population import Individual, Population
from jaxevo.search.selection import aging, built_in, pareto, random, tournament
from jaxevo.settings import Settings

DRAWS = 3000
DISTINCT = [0.3, 0.9, 0.1, 0.7, 0.5]
"""Ranks from the worst: 1, 4, 0, 3, 2."""


def population_of(fitness, events=None):
    """Returns individuals with ids from 7 up, told in the order of their ids unless their events are given."""
    events = range(1, len(fitness) + 1) if events is None else events
    return Population(
        Individual(7 + place, None, None, INITIAL, value, value, "weights", "hash", event, COST)
        for place, (value, event) in enumerate(zip(fitness, events, strict=True))
    )


def frequencies(choice, fitness):
    """Returns how often each place is chosen, over fixed seeds."""
    population = population_of(fitness)
    counts = collections.Counter(choice(np.random.default_rng(seed), population) for seed in range(DRAWS))
    assert set(counts) <= set(range(len(fitness)))
    return [counts[place] / DRAWS for place in range(len(fitness))]


class Drawing:
    """A generator whose sample is known."""

    def __init__(self, *drawn):
        self.drawn = drawn

    def choice(self, options, size, replace):
        assert not replace
        assert size == len(self.drawn) <= options
        return np.array(self.drawn)


def close(expected):
    # Four standard deviations of a frequency near one half.
    return pytest.approx(expected, abs=4 * 0.5 / DRAWS**0.5)


# The tournament of Real et al. 2017.


@pytest.mark.parametrize("pair", list(itertools.permutations(range(5), 2)))
def test_of_a_pair_the_worse_dies_and_the_better_reproduces(pair):
    population = population_of(DISTINCT)
    assert tournament().victim(Drawing(*pair), population) == min(pair, key=DISTINCT.__getitem__)
    assert tournament().parent(Drawing(*pair), population) == max(pair, key=DISTINCT.__getitem__)


def test_every_pair_of_two_different_individuals_is_drawn_equally_often():
    # Of the 10 pairs the fittest wins 4, the next 3, 2, 1 and 0: without replacement the worst never wins.
    assert frequencies(tournament().parent, DISTINCT) == close([0.1, 0.4, 0.0, 0.3, 0.2])
    assert frequencies(tournament().parent, DISTINCT)[2] == 0


def test_the_fittest_never_dies_and_the_others_the_more_the_worse_they_are():
    assert frequencies(tournament().victim, DISTINCT) == close([0.3, 0.0, 0.4, 0.1, 0.2])
    assert frequencies(tournament().victim, DISTINCT)[1] == 0


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (3, 1), (1, 4)])
def test_a_tie_goes_to_the_first_drawn_who_reproduces(pair):
    assert tournament().parent(Drawing(*pair), population_of([0.5] * 5)) == pair[0]


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (3, 1), (1, 4)])
def test_a_tie_goes_to_the_first_drawn_who_survives(pair):
    assert tournament().victim(Drawing(*pair), population_of([0.5] * 5)) == pair[1]


def test_ties_favour_nobody_in_the_long_run():
    assert frequencies(tournament().parent, [0.5] * 4) == close([0.25] * 4)
    assert frequencies(tournament().victim, [0.5] * 4) == close([0.25] * 4)


def test_the_only_one_alive_reproduces():
    assert frequencies(tournament().parent, [0.5]) == [1.0]


# Aging, Real et al. 2019.


@pytest.mark.parametrize("fitness", [DISTINCT, DISTINCT[::-1], [0.5] * 5])
@pytest.mark.parametrize("events", [(1, 2, 3, 4, 5), (9, 4, 8, 3, 5), (12, 11, 10, 9, 8)])
def test_under_aging_who_was_told_first_dies_whatever_its_fitness_and_id(fitness, events):
    population = population_of(fitness, events)
    for seed in range(100):
        assert aging(3).victim(np.random.default_rng(seed), population) == events.index(min(events))


def test_under_aging_the_best_of_the_sample_reproduces():
    for sample in itertools.permutations(range(5), 3):
        parent = aging(3).parent(Drawing(*sample), population_of(DISTINCT))
        assert parent == max(sample, key=DISTINCT.__getitem__)


def test_an_aging_sample_is_drawn_without_replacement():
    # Of the 10 samples of three the fittest is in 6, the next wins 3, the middle one 1.
    assert frequencies(aging(3).parent, DISTINCT) == close([0.0, 0.6, 0.0, 0.3, 0.1])


def test_an_aging_sample_of_one_is_anyone():
    assert frequencies(aging(1).parent, DISTINCT) == close([0.2] * 5)


@pytest.mark.parametrize("sample_size", [5, 6, 100])
def test_an_aging_sample_of_all_or_more_than_all_is_the_fittest(sample_size):
    assert frequencies(aging(sample_size).parent, DISTINCT) == [0, 1, 0, 0, 0]


def test_a_tie_in_an_aging_sample_goes_to_the_first_drawn():
    assert aging(3).parent(Drawing(4, 1, 2), population_of([0.5] * 5)) == 4
    assert aging(3).parent(Drawing(2, 4, 1), population_of([0.1, 0.5, 0.1, 0.1, 0.5])) == 4


@pytest.mark.parametrize("sample_size", [0, -1])
def test_an_aging_sample_of_nobody_is_refused(sample_size):
    with pytest.raises(ValueError, match=f"sample_size is {sample_size}, but must be"):
        aging(sample_size)


# NSGA-II, Deb et al. 2002.

MIXED = [(0.9, 300), (0.5, 100), (0.4, 200), (0.7, 220), (0.6, 180), (0.3, 400)]
"""Accuracy and cost. No other dominates places 0, 1, 3 and 4; place 2 is worse than 1 and 4, and 5 than all."""


def costing(points, **changes):
    """Returns individuals of these accuracies, whose parameters cost what is given, and whose FLOPs cost 100 less."""
    population = population_of([accuracy for accuracy, _ in points])
    costs = [dataclasses.replace(COST, parameters=cost, forward_flops=500 - cost) for _, cost in points]
    return Population(
        dataclasses.replace(one, cost=cost, **changes) for one, cost in zip(population, costs, strict=True)
    )


def test_pareto_knows_two_costs():
    with pytest.raises(ValueError, match="cost is 'FLOPs', but must be flops or parameters"):
        pareto(3, "FLOPs")


def test_under_pareto_the_worst_front_dies_first_and_then_the_most_crowded():
    population, deaths = costing(MIXED), []
    while len(population) > 2:
        index = pareto(2, "parameters").victim(np.random.default_rng(0), population)
        deaths.append(population[index].id - 7)
        population = population.remove(index)
    # Of the front, place 4 has its neighbours at (0.5, 100) and (0.7, 220), place 3 at (0.6, 180) and (0.9, 300): they
    # are 0.2 / 0.4 + 120 / 200 = 1.1 and 0.3 / 0.4 + 120 / 200 = 1.35 apart. The ends stay.
    assert deaths == [5, 2, 4, 3]
    assert [one.id - 7 for one in population] == [0, 1]


def test_under_pareto_the_best_of_the_sample_reproduces():
    order = [0, 1, 3, 4, 2, 5]
    for sample in itertools.permutations(range(6), 3):
        parent = pareto(3, "parameters").parent(Drawing(*sample), costing(MIXED))
        assert parent == min(sample, key=order.index)


def test_under_pareto_the_cost_is_the_one_that_is_named():
    # FLOPs fall as parameters rise here, so that the most accurate dominates all but place 5.
    population = costing(MIXED)
    first = {parent_of(pareto(6, cost), population) for cost in ("parameters", "flops")}
    assert first == {0}
    assert pareto(6, "parameters").victim(np.random.default_rng(0), population) == 5
    assert pareto(6, "flops").victim(np.random.default_rng(0), population) == 1


def parent_of(selection, population):
    return selection.parent(np.random.default_rng(0), population)


def test_under_pareto_equal_individuals_rank_by_id():
    population = costing([(0.5, 100), (0.5, 100)])
    assert parent_of(pareto(2, "flops"), population) == 0
    assert pareto(2, "flops").victim(np.random.default_rng(0), population) == 1


def test_under_pareto_a_failed_individual_is_the_worst_however_cheap_it_is():
    population = costing([(0.0, 1), *MIXED])
    failed = dataclasses.replace(population[0], failure="the loss is not finite")
    population = population.remove(0).add(failed)
    assert pareto(2, "parameters").victim(np.random.default_rng(0), population) == 0
    assert pareto(2, "parameters").parent(Drawing(0, 6), population) == 6
    assert parent_of(pareto(1, "flops"), Population([failed])) == 0


@pytest.mark.parametrize("sample_size", [0, -1])
def test_a_pareto_sample_of_nobody_is_refused(sample_size):
    with pytest.raises(ValueError, match=f"sample_size is {sample_size}, but must be"):
        pareto(sample_size, "flops")


# The control.


def test_at_random_anyone_dies_and_anyone_reproduces():
    assert frequencies(random().parent, [0.0, 0.0, 1.0, 0.0, 0.0]) == close([0.2] * 5)
    assert frequencies(random().victim, [0.0, 0.0, 1.0, 0.0, 0.0]) == close([0.2] * 5)


def test_at_random_fitness_changes_no_choice():
    for choice in random():
        for seed in range(100):
            chosen = {
                choice(np.random.default_rng(seed), population_of(fitness))
                for fitness in (DISTINCT, DISTINCT[::-1], [0.5] * 5)
            }
            assert len(chosen) == 1


# All of them.

SELECTIONS = {"tournament": tournament(), "aging": aging(3), "pareto": pareto(3, "flops"), "random": random()}


@pytest.mark.parametrize("selection", SELECTIONS.values(), ids=SELECTIONS.keys())
def test_equal_generators_choose_equally_and_the_population_stays(selection):
    population = population_of(DISTINCT)
    for choice in selection:
        for seed in range(50):
            twice = [choice(np.random.default_rng(seed), population) for _ in range(2)]
            assert twice[0] == twice[1]
    assert population == population_of(DISTINCT)


@pytest.mark.parametrize("name", SELECTIONS)
def test_the_settings_name_the_selection(name):
    named = built_in(Settings(sample_size=3))[name]()
    for place in (0, 1):
        assert frequencies(named[place], DISTINCT) == frequencies(SELECTIONS[name][place], DISTINCT)
