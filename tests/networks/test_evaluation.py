"""Majority votes and ensembles."""

import numpy as np
import pytest
from helpers.births import COST
from helpers.genotypes import random_genotype

from jaxevo.networks.evaluation import ensemble_members, majority_vote
from jaxevo.search.population import Individual


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        ([2], 2),
        ([0, 1, 1], 1),
        ([3, 1], 3),  # A tie: the foremost member, the fittest, decides.
        ([0, 1, 2], 0),
        ([0, 1, 2, 2, 1], 1),  # 1 and 2 are tied; the foremost member among the tied voted 1.
        ([0, 2, 1, 1, 2], 2),
    ],
)
def test_the_majority_wins_and_ties_go_to_the_fittest_among_the_tied(votes, winner):
    assert majority_vote([np.array([vote]) for vote in votes], 4).tolist() == [winner]


def test_votes_are_counted_image_by_image():
    members = [np.array([0, 1, 2]), np.array([1, 1, 0]), np.array([1, 2, 0])]
    assert majority_vote(members, 3).tolist() == [1, 1, 0]


def individual(identifier: int, fitness: float, weights: str | None = "w") -> Individual:
    genotype = random_genotype(0, 0, (8, 8, 1))
    return Individual(identifier, None, None, genotype, fitness, fitness, weights, weights, event=1, cost=COST)


def test_members_are_the_fittest_with_weights_and_the_best_ever_is_one():
    living = [individual(1, 0.5), individual(2, 0.7), individual(3, 0.7), individual(4, 0.9, None)]
    best = individual(0, 0.8)
    assert [member.id for member in ensemble_members(living, best, 3)] == [0, 2, 3]
    assert [member.id for member in ensemble_members([*living, best], best, 9)] == [0, 2, 3, 1]
