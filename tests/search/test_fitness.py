"""Fitness: any finite number, maximised, from a validation result and a cost; failures rank below all."""

import dataclasses
import math

import numpy as np
import pytest

from jaxevo.doors.opening import built_in
from jaxevo.search.births import Outcome
from jaxevo.search.evolution import evolution
from jaxevo.search.fitness import FAILED, Fitness, accuracy, balanced_accuracy, fitness_of, macro_f1
from jaxevo.search.space import Cost, Task
from jaxevo.settings import Settings

COST = Cost(parameters=100, forward_flops=1000)
TASK = Task((8, 8, 1), 3, 100)
SMALL = Settings(population_size=8, num_workers=2, train_steps=10)
CONFUSION = ((8, 2, 0), (0, 3, 3), (0, 0, 0))
"""Of 10 images of the first class 8 are right, of 6 of the second 3; the third does not occur."""


def outcome(**changes):
    return dataclasses.replace(Outcome(3, 11 / 16, "w", "h", confusion=CONFUSION), **changes)


def test_accuracy_is_the_share_of_correct_images():
    assert fitness_of(accuracy(), outcome(), COST) == 11 / 16
    assert not accuracy().confusion


def test_balanced_accuracy_is_the_mean_over_the_classes_that_occur():
    assert fitness_of(balanced_accuracy(), outcome(), COST) == pytest.approx((8 / 10 + 3 / 6) / 2)


def test_macro_f1_is_the_mean_of_precision_and_recall_over_the_classes():
    def f1(right, predicted, actual):
        precision, recall = right / predicted, right / actual
        return 2 * precision * recall / (precision + recall)

    # The third class is predicted three times and never right.
    expected = (f1(8, 8, 10) + f1(3, 5, 6) + 0) / 3
    assert fitness_of(macro_f1(), outcome(), COST) == pytest.approx(expected)


@pytest.mark.parametrize("score", [accuracy, balanced_accuracy, macro_f1])
def test_prices_are_subtracted(score):
    free = fitness_of(score(), outcome(), COST)
    assert fitness_of(score(flops=1e-3, parameters=2e-2), outcome(), COST) == pytest.approx(free - 1 - 2)
    for price in ("much", math.nan, math.inf):
        with pytest.raises(ValueError, match="the price of flops is .*, but must be a finite number"):
            score(flops=price)


@pytest.mark.parametrize("score", [balanced_accuracy, macro_f1])
def test_what_a_fitness_needs_must_be_there(score):
    assert score().confusion
    with pytest.raises(ValueError, match="individual 3 has no confusion matrix, which the fitness needs"):
        fitness_of(score(), outcome(confusion=None), COST)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_fitness_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="the fitness of individual 3 is .*, but must be a finite number"):
        fitness_of(Fitness(lambda outcome, cost: value), outcome(), COST)


def told(fitness, births, failing=()):
    """Returns the state after some events, in which accuracies rise with the id."""
    doors = built_in(SMALL)._replace(fitness=fitness)
    algorithm = evolution(SMALL, doors, TASK)
    state = algorithm.init()
    for _ in range(births):
        state, _ = algorithm.ask(state)
        birth = state.in_flight[0]
        reason = "the loss is not finite" if birth.id in failing else None
        state = algorithm.tell(state, Outcome(birth.id, 0.0 if reason else birth.id / 100, "w", "h", reason))
    return state


def test_the_best_is_the_fittest_and_the_target_is_the_highest_accuracy():
    state = told(Fitness(lambda outcome, cost: -1000 * outcome.accuracy), 6)
    assert (state.best.id, state.best.fitness) == (0, 0.0)
    assert state.best_accuracy == max(one.accuracy for one in state.population) > 0


def test_a_failed_individual_ranks_below_any_fitness():
    state = told(Fitness(lambda outcome, cost: -1e300), 5, failing=(0, 1, 2, 3))
    assert [one.fitness for one in state.population if one.failure is not None] == [FAILED] * 4
    assert state.best_trained is not None
    assert state.best.fitness == -1e300
    # A failed individual with weights, or a trained one without, is told by its reason alone.
    assert all((one.weights is not None) for one in state.population)


def test_the_fingerprint_has_all_bits_of_the_fitness():
    one = told(accuracy(), 20)
    other = told(Fitness(lambda outcome, cost: float(np.nextafter(outcome.accuracy, 2))), 20)
    assert one.fingerprint != other.fingerprint
