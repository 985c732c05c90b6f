"""The ranking of NSGA-II over fitness, which is maximised, and a cost, which is minimised.

Deb, Pratap, Agarwal, Meyarivan 2002: "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II". With two
objectives, sorting takes O(n log n), since only points of lower or equal cost can dominate a point.
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """A fitness and a cost, both finite."""

    fitness: float
    cost: float


class Rank(NamedTuple):
    """A rank; the smaller is the better one, as tuples compare.

    Attributes:
        front: number of the front, 0 for points that no other one dominates.
        crowding: negative crowding distance, so that points far from their neighbours come first.
    """

    front: int
    crowding: float


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """Returns the indices of the points of each front, by rising cost; equal points keep their order.

    A point dominates another if it is no worse in both objectives and better in one (section III-A). The first front
    is dominated by no point, the second only by points of the first, and so on.
    """
    by_cost = sorted(range(len(points)), key=lambda index: (points[index].cost, -points[index].fitness, index))
    found: list[list[int]] = []
    # The largest fitness of each front so far. It falls from front to front, so it is negated for `bisect`.
    negative_tops: list[float] = []
    for point, equal in itertools.groupby(by_cost, key=points.__getitem__):
        front = bisect.bisect_right(negative_tops, -point.fitness)
        if front == len(found):
            found.append([])
            negative_tops.append(-point.fitness)
        negative_tops[front] = -point.fitness
        found[front] += equal
    return found


def ranks(points: Sequence[Point]) -> list[Rank]:
    """Returns the rank of every point: its front, then its crowding distance within it."""
    ranked = [Rank(0, 0.0)] * len(points)
    for number, front in enumerate(fronts(points)):
        for index, distance in zip(front, _crowding([points[index] for index in front]), strict=True):
            ranked[index] = Rank(number, -distance)
    return ranked


def _crowding(front: Sequence[Point]) -> list[float]:
    """Returns the crowding distances of a front's points, which must be sorted (section III-B).

    A distance is that between both neighbours, summed over the objectives in units of the front's extent; infinite at
    both ends.
    """
    distances = [math.inf] * len(front)
    # On a front, the order by one objective is that by the other.
    extents = [abs(last - first) or 1.0 for first, last in zip(front[0], front[-1], strict=True)]
    for place in range(1, len(front) - 1):
        gaps = zip(front[place - 1], front[place + 1], extents, strict=True)
        distances[place] = sum(abs(after - before) / extent for before, after, extent in gaps)
    return distances
