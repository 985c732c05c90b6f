"""Evolution leaves time for its finish, by the speed of the best one's training."""

import dataclasses
from types import SimpleNamespace

import pytest
from helpers.simulated import Simulated, stored_run

from jaxevo.session.loop import HostLoop
from jaxevo.session.progress import Watcher
from jaxevo.settings import Limits, Settings
from jaxevo.storage.stored_run import RunWriter

SETTINGS = Settings(population_size=10, num_workers=4, train_steps=6, selection="aging", sample_size=3, seed=5)
FIRST_RESUMED = 12
EVENTS = 60


class Resuming(Simulated):
    """Lanes whose later trainings go on from checkpoints just before their ends, so that they take no time."""

    lanes_per_accelerator = 1

    def record(self, birth):
        record = super().record(birth)
        if birth.id < FIRST_RESUMED:
            return record
        return dataclasses.replace(record, attempt=2, train_seconds=1e-6)


def session(folder, watcher=None, **limits):
    """Evolves on from the last snapshot; returns the reason why it stopped, and the state."""
    limits = Limits(finish_share=1.0, **limits)
    run = stored_run(folder, SETTINGS, limits)
    with RunWriter(run, 5) as writer:
        loop = HostLoop(run, limits, writer, Resuming(2), watcher or Watcher(), SimpleNamespace(seconds=0.0))
        return loop.until_stopped(lambda: False), loop.progress().state


def test_trainings_that_went_on_from_a_checkpoint_tell_no_speed(tmp_path):
    # The clock stands still, so that only the finish takes time: about as many seconds as trainings were whole.
    reason, state = session(tmp_path, max_individuals=300, max_seconds=float(EVENTS))
    assert reason == "max_seconds"
    assert state.best.id >= FIRST_RESUMED


@pytest.mark.parametrize("events", [5, 14])
def test_a_resumed_session_knows_the_speed_again(tmp_path, events):
    session(tmp_path, max_individuals=events)
    reason, state = session(tmp_path, max_individuals=300, max_seconds=float(EVENTS))
    assert reason == "max_seconds"
    assert events < state.events < 300


def test_a_time_that_the_finish_alone_takes_is_told(tmp_path):
    session(tmp_path, max_individuals=10)
    watcher, said = Watcher(), []
    watcher.notice = said.append
    reason, state = session(tmp_path, watcher, max_individuals=300, max_seconds=2.0)
    assert (reason, state.events) == ("max_seconds", 10)
    [sentence] = said
    assert sentence.startswith("max_seconds is 2, but the finish alone will take some ")
    said.clear()
    session(tmp_path, watcher, max_individuals=300, max_seconds=float(EVENTS))
    assert said == []
