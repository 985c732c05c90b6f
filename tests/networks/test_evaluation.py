"""Majority votes."""

import numpy as np
import pytest

from jaxevo.networks.evaluation import majority_vote


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
