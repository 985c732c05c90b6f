"""The living: ordered by id and immutable."""

import dataclasses

import pytest
from helpers.births import COST
from helpers.genotypes import INITIAL

from jaxevo.search.population import Individual, Population, ensemble_members


def individual(number):
    return Individual(
        number, None, None, INITIAL, number / 10, number / 10, f"weights/{number}", "hash", number + 1, COST
    )


def population_of(*numbers):
    population = Population()
    for number in numbers:
        population = population.add(individual(number))
    return population


def ids(population):
    return [member.id for member in population]


def test_a_population_begins_empty():
    assert len(Population()) == 0
    assert list(Population()) == []


@pytest.mark.parametrize("order", [(1, 2, 3, 7), (7, 3, 2, 1), (2, 7, 1, 3)])
def test_the_living_stand_by_id_in_whatever_order_they_came(order):
    population = population_of(*order)
    assert ids(population) == [1, 2, 3, 7]
    assert [population[index].id for index in range(4)] == [1, 2, 3, 7]
    assert len(population) == 4


def test_populations_of_the_same_individuals_are_equal():
    assert population_of(1, 2, 3) == population_of(3, 1, 2)
    assert hash(population_of(1, 2, 3)) == hash(population_of(3, 1, 2))


def test_adding_leaves_the_population_as_it_was():
    population = population_of(1, 3)
    assert ids(population.add(individual(2))) == [1, 2, 3]
    assert ids(population) == [1, 3]


@pytest.mark.parametrize(("index", "left"), [(0, [2, 3]), (1, [1, 3]), (2, [1, 2])])
def test_removing_takes_the_one_at_an_index_and_leaves_the_population_as_it_was(index, left):
    population = population_of(1, 2, 3)
    assert ids(population.remove(index)) == left
    assert ids(population) == [1, 2, 3]


def test_individuals_stay_as_they_were():
    assert population_of(4, 2)[1] == individual(4)


def test_a_population_and_an_individual_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Population().individuals = (individual(1),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        individual(1).fitness = 1.0
    with pytest.raises(TypeError):
        population_of(1)[0] = individual(2)


def test_an_ensemble_is_the_fittest_with_weights_and_the_best_ever_is_one():
    fitness = {0: 0.8, 1: 0.5, 2: 0.7, 3: 0.7, 4: 0.9}
    best, *living = [dataclasses.replace(individual(number), fitness=value) for number, value in fitness.items()]
    living[-1] = dataclasses.replace(living[-1], weights=None)
    assert ids(ensemble_members(living, best, 3)) == [0, 2, 3]
    assert ids(ensemble_members([*living, best], best, 9)) == [0, 2, 3, 1]
