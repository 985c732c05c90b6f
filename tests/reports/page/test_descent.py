"""Descent: the common ancestor, what mutations achieved, and the ALife data standard."""

import csv
import io
import statistics

import pytest
from helpers.simulated_runs import simulated_run

from jaxevo.reports.page.descent import common_ancestor, measures, mutation_names, mutations_tried, phylogeny
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

#     0       1
#    / \      |
#   2   3     4
#  / \   \
# 5   6   7
PARENTS = {0: None, 1: None, 2: 0, 3: 0, 4: 1, 5: 2, 6: 2, 7: 3}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return History(Workdir(simulated_run(tmp_path_factory.mktemp("descent") / "run")))


@pytest.mark.parametrize(
    ("ids", "ancestor"),
    [((5, 6), 2), ((5, 7), 0), ((5, 6, 7), 0), ((2, 5), 2), ((6,), 6), ((5, 4), None), ((0, 1), None), ((), None)],
)
def test_the_common_ancestor_is_the_most_recent_one(ids, ancestor):
    assert common_ancestor(ids, PARENTS) == ancestor


def test_a_child_of_several_mutations_counts_for_each():
    assert mutation_names("A+B-C+D") == ["A", "B-C", "D"]
    assert mutation_names(None) == []


def test_mutations_are_counted_over_all_children(history):
    rows = {row.name: row for row in mutations_tried(history)}
    made = [life.individual for life in history.lives.values() if life.individual.mutation is not None]
    assert sum(row.tried for row in rows.values()) == len(made)
    fitness = {one: life.individual.accuracy for one, life in history.lives.items()}
    name = next(iter(rows))
    children = [one for one in made if one.mutation == name]
    better = [one for one in children if one.weights is not None and one.accuracy > fitness[one.parent_id]]
    assert (rows[name].tried, rows[name].improved) == (len(children), len(better))
    line = [one for one in history.lineage(history.best.id) if one.mutation is not None]
    assert sum(row.winning for row in rows.values()) == len(line)
    assert all(row.survived <= row.tried for row in rows.values())


def test_a_child_of_a_failed_parent_counts_as_tried_but_not_as_improved(tmp_path):
    history = History(Workdir(simulated_run(tmp_path / "run", seed=6, selection="random")))
    lives = {one: life.individual for one, life in history.lives.items()}
    made = [one for one in lives.values() if one.mutation is not None]
    orphans = [one for one in made if one.failure is None and lives[one.parent_id].failure is not None]
    assert orphans
    for row in mutations_tried(history):
        children = [one for one in made if one.mutation == row.name]
        changes = [
            one.accuracy - lives[one.parent_id].accuracy
            for one in children
            if one.failure is None and lives[one.parent_id].failure is None
        ]
        assert row.tried == len(children)
        assert row.improved == sum(change > 0 for change in changes)
        assert row.change == (pytest.approx(statistics.median(changes), abs=1e-6) if changes else None)


def test_the_measures_are_of_the_winners_lineage(history):
    found = measures(history)
    line = history.lineage(history.best.id)
    assert found["lineage_length"] == len(line)
    assert found["mutations_accumulated"] == len(line) - 1
    living = [history.lineage(one.id) for one in history.state.population]
    shared = set.intersection(*({one.id for one in line} for line in living))
    assert found["common_ancestor"] == max(shared, default=None)
    if shared:
        assert found["common_ancestor_depth"] == len(history.lineage(max(shared))) - 1


def test_the_phylogeny_follows_the_alife_standard(history):
    rows = list(csv.DictReader(io.StringIO(phylogeny(history))))
    assert [int(row["id"]) for row in rows] == list(history.lives)
    born = {row["id"]: float(row["origin_time"]) for row in rows}
    for row in rows:
        life = history.lives[int(row["id"])]
        assert row["ancestor_list"].startswith("[") and row["ancestor_list"].endswith("]")
        parent = row["ancestor_list"][1:-1]
        assert parent == ("none" if life.individual.parent_id is None else str(life.individual.parent_id))
        # A parent is in the file, and older than its child.
        assert parent == "none" or born[parent] < born[row["id"]]
        assert float(row["destruction_time"]) >= float(row["origin_time"])
        assert (row["destruction_time"] == "inf") == (life.death is None)
        assert float(row["fitness"]) == life.individual.fitness
