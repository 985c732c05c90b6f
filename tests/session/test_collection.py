"""Which weights the host loop keeps, with a trainer that writes empty folders for weights."""

import itertools

import pytest
from helpers.simulated import Simulated, stored_run

from jaxevo.session.loop import HostLoop
from jaxevo.session.progress import Watcher
from jaxevo.settings import Limits, Settings
from jaxevo.storage.journal import read_journal
from jaxevo.storage.stored_run import RunWriter
from jaxevo.storage.workdir import Workdir, weight_names

LANES = 4


class Writing(Simulated):
    """Makes a folder for the weights of every training, and notes births that run while what they inherit is gone."""

    def __init__(self, weights):
        super().__init__(LANES)
        self.weights = weights
        self.robbed = []

    def finished(self, timeout):
        present = set(weight_names(self.weights))
        running = [birth for _, birth in self.running]
        self.robbed += [b.id for b in running if b.inherited is not None and b.inherited.weights not in present]
        records = super().finished(timeout)
        for record in records:
            (self.weights / record.outcome.weights).mkdir(parents=True)
        return records


def session(folder, settings, events, told):
    """Evolves up to a number of events, of which so many were told before; returns loop and executor."""
    workdir = Workdir(folder)
    executor = Writing(workdir.weights)
    limits = Limits(max_individuals=events)
    run = stored_run(folder, settings, limits)
    with RunWriter(run, 7) as writer:
        loop = HostLoop(run, limits, writer, executor, Living(folder, told))
        loop.until_stopped(lambda: False)
    return loop, executor


class Living(Watcher):
    """Checks at every new event that the weights of all who live are there: the run may be left at any of them."""

    def __init__(self, folder, told):
        self.weights = folder / "weights"
        self.told_before = told

    def progressed(self, progress):
        living = {individual.weights for individual in progress.state.population}
        assert progress.state.events < self.told_before or living <= set(weight_names(self.weights))


def named(loop, records):
    """Returns the weights that the state or an untold record names."""
    state = loop.progress().state
    names = {individual.weights for individual in (*state.population, state.best)}
    names |= {birth.inherited.weights for birth in state.in_flight if birth.inherited and birth.id not in records}
    return names | {records[birth.id].outcome.weights for birth in state.in_flight if birth.id in records}


@pytest.mark.parametrize("selection", ["tournament", "aging"])
@pytest.mark.parametrize("wall_clock", [False, True])
@pytest.mark.parametrize("population_size", [12, 80])
def test_what_is_needed_is_kept_and_little_else_over_several_sessions(tmp_path, selection, wall_clock, population_size):
    settings = Settings(
        population_size=population_size,
        selection=selection,
        wall_clock=wall_clock,
        train_steps=300,
    )
    ends = (0, 2 * population_size, 2 * population_size + 5, 4 * population_size)
    for told, events in itertools.pairwise(ends):
        (tmp_path / "weights" / f"orphan-{events}").mkdir(parents=True)
        loop, executor = session(tmp_path, settings, events, told)
        kept = set(weight_names(tmp_path / "weights"))
        needed = named(loop, read_journal(tmp_path / "journal.jsonl").records)
        assert needed <= kept
        assert executor.robbed == []
        assert f"orphan-{events}" not in kept
        # What the last events set free may still stand. They are a sixteenth of the population and what was handed over
        # last, and each frees two at most: of whom it kills, and of a dead parent whose last child has finished.
        assert len(kept) <= len(needed) + 2 * (population_size // 16 + 1 + LANES) + 1
