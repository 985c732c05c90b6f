"""NSGA-II's ranking against the definitions of its paper, tried on all pairs of points."""

import math

import numpy as np
import pytest

from jaxevo.search.pareto import Point, Rank, fronts, ranks


def dominates(one, other):
    """The definition: no worse in both objectives, better in one."""
    no_worse = one.fitness >= other.fitness and one.cost <= other.cost
    return no_worse and (one.fitness > other.fitness or one.cost < other.cost)


def peeled(points):
    """Returns the fronts by the definition: take away all that no remaining point dominates, again and again."""
    left, found = set(range(len(points))), []
    while left:
        front = {one for one in left if not any(dominates(points[other], points[one]) for other in left)}
        found.append(front)
        left -= front
    return found


def random_points(seed, count=40):
    """Returns points of few distinct values, so that many are equal in one objective or in both."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, [8, 6], size=(count, 2)).tolist()
    return [Point(accuracy / 8, cost) for accuracy, cost in values]


@pytest.mark.parametrize("seed", range(20))
def test_fronts_are_those_of_the_definition(seed):
    points = random_points(seed)
    assert [set(front) for front in fronts(points)] == peeled(points)


@pytest.mark.parametrize("seed", range(5))
def test_a_front_goes_from_the_cheapest_to_the_most_accurate_and_equal_points_keep_their_order(seed):
    points = random_points(seed)
    for front in fronts(points):
        assert front == sorted(front, key=lambda index: (points[index].cost, points[index].fitness, index))
        assert front == sorted(front, key=lambda index: (points[index].fitness, points[index].cost, index))


def test_no_points_have_no_front():
    assert fronts([]) == []
    assert ranks([]) == []


def test_crowding_is_the_distance_between_both_neighbours_in_units_of_the_extent():
    # One front: extents are 0.8 and 200. Beside the second point lie the first and the third, and so on.
    front = [Point(0.1, 100), Point(0.5, 120), Point(0.7, 220), Point(0.9, 300)]
    expected = [math.inf, 0.6 / 0.8 + 120 / 200, 0.4 / 0.8 + 180 / 200, math.inf]
    assert [rank.crowding for rank in ranks(front)] == pytest.approx([-distance for distance in expected])
    assert {rank.front for rank in ranks(front)} == {0}


def test_a_rank_is_the_same_wherever_the_point_stands():
    points = [Point(0.1, 100), Point(0.5, 120), Point(0.7, 220), Point(0.9, 300), Point(0.4, 120), Point(0.05, 400)]
    expected = ranks(points)
    assert [rank.front for rank in expected] == [0, 0, 0, 0, 1, 2]
    order = np.random.default_rng(0).permutation(len(points)).tolist()
    assert ranks([points[place] for place in order]) == [expected[place] for place in order]


def test_equal_points_share_a_front_and_the_inner_ones_have_no_distance():
    assert ranks([Point(0.5, 7)] * 4) == [Rank(0, -math.inf), Rank(0, 0), Rank(0, 0), Rank(0, -math.inf)]


def test_the_front_comes_before_the_crowding_in_a_comparison():
    assert Rank(0, 0.0) < Rank(1, -math.inf)
    assert Rank(1, -math.inf) < Rank(1, -0.5) < Rank(1, 0.0)
