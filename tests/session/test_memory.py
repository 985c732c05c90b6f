"""The memory of a run: within a bound, however many individuals it trains and architectures it compiles."""

import gc
import os
from pathlib import Path

import jax
import pytest
from helpers.compile_log import compilations
from helpers.tiny_runs import TINY

from jaxevo.session.progress import Progress, Watcher
from jaxevo.session.run import start_run
from jaxevo.settings import Execution, Limits, Settings

INDIVIDUALS = 50
LANES = 2
PROGRAMS_IN_MEMORY = 1


class Counter(Watcher):
    """Counts what JAX holds, after every event."""

    def __init__(self) -> None:
        self.executables: list[int] = []
        self.arrays: list[int] = []

    def progressed(self, progress: Progress) -> None:
        if progress.state.events > len(self.executables):
            self.executables.append(len(jax.local_devices()[0].client.live_executables()))
            self.arrays.append(len(jax.live_arrays()))


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> tuple[Counter, int]:
    """What a run held after each event, with few programs in memory, and how many programs it made."""
    gc.collect()
    counter = Counter()
    settings = Settings(**{**TINY, "max_parameters": 2_000})
    execution = Execution(LANES, programs_in_memory=PROGRAMS_IN_MEMORY)
    # Two cores, whatever this machine has: with more to spare, more would be compiled ahead at once.
    with compilations() as compiled, pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
        path: Path = tmp_path_factory.mktemp("memory") / "run"
        start_run(path, settings, Limits(max_individuals=INDIVIDUALS), execution, counter)
    return counter, len(compiled)


@pytest.mark.slow
def test_executables_stay_within_their_bound(counted):
    counter, made = counted
    # Two for each architecture in memory, in a lane, and being compiled ahead, and one that draws batches.
    bound = 2 * (PROGRAMS_IN_MEMORY + LANES + 1) + 1
    assert made > 4 * bound
    assert max(counter.executables) - min(counter.executables) <= bound


@pytest.mark.slow
def test_arrays_on_devices_do_not_pile_up(counted):
    counter, _ = counted
    # Lanes that train at the moment have some more than those of the data set.
    assert min(counter.arrays[-20:]) <= max(counter.arrays[:20])
