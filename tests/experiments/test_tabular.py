"""The engine on a table of known results: a short form on a table that is made up, so that nothing is downloaded."""

import itertools
import json

import numpy as np
import pytest

import jaxevo
from experiments.benchmarks.tabular import __main__ as benchmark
from experiments.benchmarks.tabular.cells import OPERATIONS, Cells, other_operation
from experiments.benchmarks.tabular.loops import LIVING, engine, engine_by_wall_clock, plain_aging, random_cells
from jaxevo.search.space import Task

EVALUATIONS, SEEDS = 150, 12
WORTH = (0.0, 0.3, 0.6, 1.0, 0.4)
"""Of each operation, on every edge."""


@pytest.fixture(scope="module")
def name(tmp_path_factory):
    """A table in which some operations are better than others, with noise between the trainings of a cell."""
    generator = np.random.default_rng(0)
    table = {}
    for cell in map("".join, itertools.product("01234", repeat=6)):
        mean = 0.5 + sum(WORTH[int(one)] for one in cell) / 14
        noise = 0.01 * generator.standard_normal(3)
        table[cell] = ([round(float(mean + one), 4) for one in noise], 100.0 + 50 * cell.count("3"), 1000)
    path = tmp_path_factory.mktemp("table") / "table.json"
    path.write_text(json.dumps(table))
    return str(path)


@pytest.fixture(scope="module")
def space(name):
    return Cells(name)


def mean_of(search, space):
    return np.mean([search(space, seed, EVALUATIONS).means[-1] for seed in range(SEEDS)])


def test_a_mutation_changes_one_edge_to_every_other_operation():
    seen = {other_operation(np.random.default_rng(seed), "012340", Task()) for seed in range(400)}
    assert len(seen) == 6 * (len(OPERATIONS) - 1)
    assert all(sum(one != other for one, other in zip(cell, "012340", strict=True)) == 1 for cell in seen)


def test_the_engine_searches_as_well_as_a_plain_loop_and_better_than_at_random(space):
    plain, random = mean_of(plain_aging, space), mean_of(random_cells, space)
    for workers in (1, 4, 10):
        found = mean_of(lambda *one, workers=workers: engine(*one, LIVING + workers, workers), space)
        assert abs(found - plain) < 0.02
        assert found > random + 0.01
    assert mean_of(lambda *one: engine_by_wall_clock(*one, 20, 10), space) > random + 0.01


def test_more_workers_take_less_virtual_time(space):
    seconds = [engine(space, 0, EVALUATIONS, LIVING + workers, workers).seconds[-1] for workers in (1, 4, 10)]
    assert seconds[0] > 3 * seconds[1] > 3 * 2 * seconds[2]


def test_a_row_has_means_with_their_errors(space):
    texts = benchmark.row(space, plain_aging, seeds=3, moments=(10, 20))
    assert len(texts) == 3
    assert all(" ± " in text for text in texts[:2])


def test_the_host_loop_and_its_journal_give_the_same_run(name, capsys):
    assert benchmark.through_the_host_loop(name, evaluations=60)


def test_a_run_of_the_table_is_shown_and_reported_and_has_nothing_to_export(name, tmp_path):
    run = jaxevo.evolve(
        tmp_path / "run",
        preset="paper",
        population_size=8,
        max_individuals=30,
        space=f"experiments.benchmarks.tabular.cells:Cells,table={name}",
        mutations="edges",
    )
    again = jaxevo.open(run.path)
    assert again.verify() == []
    assert again.summary(again.best.individual.id)["cell"] == again.best.genotype
    assert len(again.best.describe().splitlines()) == 4
    assert "Nothing is trained in this search space" in again.report(tmp_path / "page.html").read_text()
    with pytest.raises(ValueError, match="has no weights: nothing is trained in its search space"):
        run.export(tmp_path / "export")
    with pytest.raises(ValueError, match="nothing is trained in the search space"):
        run.finish(0.5)
