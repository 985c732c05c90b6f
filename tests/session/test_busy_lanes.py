"""The progress that a session tells."""

import pytest
from helpers.simulated_runs import simulated_run

from jaxevo.session.progress import Progress, Watcher


class Seen(Watcher):
    def __init__(self) -> None:
        self.received: list[Progress] = []

    def progressed(self, progress: Progress) -> None:
        self.received.append(progress)


@pytest.mark.parametrize(("workers", "idle"), [(4, False), (1, True)])
def test_lanes_are_busy_if_births_in_flight_are_left_for_them(workers, idle, tmp_path):
    seen = Seen()
    simulated_run(tmp_path / "run", 40, watcher=seen, num_workers=workers)
    assert {progress.lanes for progress in seen.received} == {2}
    busy = {progress.busy_lanes for progress in seen.received}
    assert busy <= {0, 1, 2}
    # A single birth in flight never fills two lanes.
    assert (2 in busy) is not idle
