"""Descent: who descends from whom, as numbers and as a file that other programs read.

The measures are those of Dolson et al. 2020, "Interpreting the tape of life".
"""

import csv
import heapq
import io
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jaxevo.storage.history import History

SEPARATOR = "+"
"""Joins the names of several mutations that made one child."""


def mutation_names(mutation: str | None) -> list[str]:
    """Returns the names of the mutations that made an individual, none for an initial one."""
    return [] if mutation is None else mutation.split(SEPARATOR)


def common_ancestor(ids: Iterable[int], parents: Mapping[int, int | None]) -> int | None:
    """Returns the most recent common ancestor of individuals, None if they have none.

    Args:
        ids: individuals; one alone is its own ancestor.
        parents: parent of each individual. A parent has a smaller id than its children.
    """
    latest_first = [-one for one in set(ids)]
    heapq.heapify(latest_first)
    while latest_first:
        latest = -heapq.heappop(latest_first)
        while latest_first and -latest_first[0] == latest:
            heapq.heappop(latest_first)
        if not latest_first:
            return latest
        parent = parents[latest]
        if parent is None:
            return None
        heapq.heappush(latest_first, -parent)
    return None


def generations(history: History) -> dict[int, int]:
    """Returns the number of ancestors of each individual."""
    found: dict[int, int] = {}
    for individual_id in sorted(history.lives):  # Parents come before their children.
        parent = history.lives[individual_id].individual.parent_id
        found[individual_id] = 0 if parent is None else found[parent] + 1
    return found


class Tried(NamedTuple):
    """The children that a mutation made.

    Attributes:
        name: of the mutation.
        tried: number of children.
        improved: children with a higher validation accuracy than their parent's, if both trainings succeeded.
        survived: children that became parents, or live.
        winning: children in the winner's lineage.
        change: median change of the validation accuracy; None if there is no child that succeeded as its parent did.
    """

    name: str
    tried: int
    improved: int
    survived: int
    winning: int
    change: float | None


def mutations_tried(history: History) -> list[Tried]:
    """Returns the mutations of a run, the most frequent first. A child of several mutations counts for each."""
    lives = history.lives
    parents = {life.individual.parent_id for life in lives.values()}
    best = history.state.best
    winning = {one.id for one in history.lineage(best.id)} if best is not None else set()
    children: dict[str, list[int]] = {}
    for individual_id, life in lives.items():
        for name in dict.fromkeys(mutation_names(life.individual.mutation)):
            children.setdefault(name, []).append(individual_id)
    rows = []
    for name, ids in children.items():
        changes = [change for one in ids if (change := _change(history, one)) is not None]
        rows.append(
            Tried(
                name,
                tried=len(ids),
                improved=sum(change > 0 for change in changes),
                survived=sum(one in parents or lives[one].death is None for one in ids),
                winning=sum(one in winning for one in ids),
                change=round(statistics.median(changes), 6) if changes else None,
            )
        )
    return sorted(rows, key=lambda row: (-row.tried, row.name))


def _change(history: History, individual_id: int) -> float | None:
    """Returns the change of the validation accuracy from the parent, None if one of the two trainings failed."""
    child = history.lives[individual_id].individual
    assert child.parent_id is not None  # Only children have mutations.
    parent = history.lives[child.parent_id].individual
    return None if child.failure is not None or parent.failure is not None else child.accuracy - parent.accuracy


def measures(history: History) -> dict[str, Any]:
    """Returns measures of the winner's lineage and of the population; empty before the first event."""
    best = history.state.best
    if best is None:
        return {}
    line = history.lineage(best.id)
    depths = generations(history)
    parents = {one: life.individual.parent_id for one, life in history.lives.items()}
    ancestor = common_ancestor((one.id for one in history.state.population), parents)
    return {
        "lineage_length": len(line),
        "mutations_accumulated": sum(len(mutation_names(one.mutation)) for one in line),
        "common_ancestor": ancestor,
        "common_ancestor_depth": None if ancestor is None else depths[ancestor],
        "mean_generation": round(statistics.fmean(depths[one.id] for one in history.state.population), 2),
    }


def phylogeny(history: History) -> str:
    """Returns the descent of a run as CSV in the ALife data standard (Lalejini et al. 2019), times in events."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("id", "ancestor_list", "origin_time", "destruction_time", "mutation", "fitness", "test_accuracy", "flops")
    )
    for individual_id, life in history.lives.items():
        one = life.individual
        writer.writerow(
            (
                individual_id,
                "[none]" if one.parent_id is None else f"[{one.parent_id}]",
                life.event,
                "inf" if life.death is None else life.death,
                one.mutation or "",
                repr(one.fitness),
                "" if life.record.test_accuracy is None else repr(life.record.test_accuracy),
                history.flops(life),
            )
        )
    return text.getvalue()
