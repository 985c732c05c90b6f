"""Simulates how long lanes wait for the outcome that is due next, without an evolution.

A run keeps as many births in flight as it has virtual workers, and makes the next one when an outcome is told. Lanes
take births in due order; an early outcome is held until it is due. So lanes wait when every birth in flight is running
or held. In wall-clock order nothing is held, and with at least one birth in flight a lane no lane ever waits.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The told events over which waiting is measured, so that neither the first filling nor the end counts.

    Attributes:
        first: number of events told when it begins.
        last: number of events told when it ends.
    """

    first: int
    last: int


class Lanes:
    """Lanes in simulated time that take births in due order."""

    def __init__(self, lanes: int, seconds: Sequence[float]) -> None:
        """Makes idle lanes; `seconds` has the training time of each birth."""
        self.now = self.waited = 0.0
        self._free = lanes
        self._seconds = seconds
        self._waiting: list[tuple[float, int]] = []
        self._running: list[tuple[float, int]] = []

    def submit(self, due: float, birth: int) -> None:
        """Makes a birth available; lanes take births at the next call of `next_finished`."""
        heapq.heappush(self._waiting, (due, birth))

    def next_finished(self) -> int:
        """Advances to the end of the next training; returns its birth."""
        self._begin()
        finish, birth = heapq.heappop(self._running)
        self.waited += self._free * (finish - self.now)
        self.now = finish
        self._free += 1
        self._begin()
        return birth

    def _begin(self) -> None:
        while self._free and self._waiting:
            _, birth = heapq.heappop(self._waiting)
            heapq.heappush(self._running, (self.now + self._seconds[birth], birth))
            self._free -= 1


def idle_share(lanes: int, workers: int, virtual: Sequence[float], seconds: Sequence[float], window: Window) -> float:
    """Returns the share of lane time spent waiting, in [0, 1].

    Args:
        lanes: individuals trained at once.
        workers: births in flight.
        virtual: virtual seconds of each birth, of at least `window.last + workers` births.
        seconds: seconds of each birth on a lane.
        window: the events to measure.
    """
    trained_on = Lanes(lanes, seconds)
    in_flight: list[tuple[float, int]] = []
    early: set[int] = set()
    clock = 0.0
    born = 0
    opened = (0.0, 0.0)
    for told in range(window.last):
        if told == window.first:
            opened = (trained_on.now, trained_on.waited)
        while len(in_flight) < workers:
            due = clock + virtual[born]
            heapq.heappush(in_flight, (due, born))
            trained_on.submit(due, born)
            born += 1
        clock, next_told = heapq.heappop(in_flight)
        while next_told not in early:
            early.add(trained_on.next_finished())
        early.remove(next_told)
    elapsed = trained_on.now - opened[0]
    return (trained_on.waited - opened[1]) / (lanes * elapsed) if elapsed > 0 else 0.0
