"""How long lanes wait for the outcome that is due next: the virtual clock, played through without evolution.

A run keeps as many births in flight as it has virtual workers, and makes the next one when an outcome is told. Lanes
take births in the order in which they are due; an outcome that comes early is held until it is due. So lanes wait when
all that is in flight runs or is held. In wall-clock order nothing is held, and with a birth a lane and more in flight
no lane ever waits.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Over which told events the waiting is measured, so that neither the first filling nor the end counts.

    Attributes:
        first: events told before it begins.
        last: events told when it ends.
    """

    first: int
    last: int


class Lanes:
    """Lanes in simulated time, which take births in due order."""

    def __init__(self, lanes: int, seconds: Sequence[float]) -> None:
        """Makes lanes that wait; `seconds` is what each birth takes."""
        self.now = self.waited = 0.0
        self._free = lanes
        self._seconds = seconds
        self._waiting: list[tuple[float, int]] = []
        self._running: list[tuple[float, int]] = []

    def submit(self, due: float, birth: int) -> None:
        """Makes a birth available, with all others that are before the next training finishes."""
        heapq.heappush(self._waiting, (due, birth))

    def next_finished(self) -> int:
        """Goes on to the moment at which a training finishes, and returns whose."""
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
    """Returns the share of lane time, in [0, 1], that is spent waiting.

    Args:
        lanes: individuals trained at once.
        workers: births in flight.
        virtual: virtual seconds of each birth, of `window.last + workers` or more.
        seconds: what each takes on a lane, as many.
        window: where to measure.
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
