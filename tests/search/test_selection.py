"""Who dies and who reproduces: the paper's tournament, aging, and the control."""

import collections
import itertools

import numpy as np
import pytest
from helpers.genotypes import INITIAL

from jaxevo.search.population import Individual, Population
from jaxevo.search.selection import aging, random, selection_from, tournament
from jaxevo.settings import Settings

DRAWS = 3000
DISTINCT = [0.3, 0.9, 0.1, 0.7, 0.5]
"""Ranks from the worst: 1, 4, 0, 3, 2."""


def population_of(fitness, events=None):
    """Returns individuals with ids from 7 up, told in the order of their ids unless their events are given."""
    events = range(1, len(fitness) + 1) if events is None else events
    return Population(
        Individual(7 + place, None, None, INITIAL, value, None, None, event)
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

SELECTIONS = {"tournament": tournament(), "aging": aging(3), "random": random()}


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
    named = selection_from(Settings(selection=name, sample_size=3))
    for place in (0, 1):
        assert frequencies(named[place], DISTINCT) == frequencies(SELECTIONS[name][place], DISTINCT)
