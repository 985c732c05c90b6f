"""Where the time of a run went."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from jaxevo.storage.history import History, Life
from jaxevo.storage.journal import JournalContent, Record, wall_clock_seconds

_MOST_LANES = 64
"""Lanes that are drawn one by one."""
_BLOCKS = 240
"""Blocks of time in which a lane's work is drawn."""


def elapsed_seconds(journal: JournalContent) -> Callable[[Record], float]:
    """Returns a function from a record to the seconds of the run until it finished, without pauses of the run."""
    offsets, total = {}, 0.0
    ends = {stop.session: stop.seconds for stop in journal.stops}
    last: dict[int, float] = {}
    for record in journal.records.values():
        last[record.session] = max(record.finished, last.get(record.session, record.finished))
    for session in journal.sessions:
        offsets[session.number] = total - session.started
        lasted = last.get(session.number, session.started) - session.started
        total += max(0.0, lasted, ends.get(session.number, 0.0))
    return lambda record: max(0.0, offsets.get(record.session, -record.finished) + record.finished)


def times(history: History) -> dict[str, Any]:
    """Returns the seconds of a run by what they went into, and the share of each lane's time that it trained.

    The journal holds when a training ended and how long it took, not on which lane. Lanes are therefore assigned anew:
    each training takes the lane that has been free for the shortest time.
    """
    lives = list(history.lives.values())
    elapsed = elapsed_seconds(history.journal)
    wall = max([wall_clock_seconds(history.journal), *(elapsed(life.record) for life in lives)], default=0.0)
    lanes = _lanes([_span(life, elapsed) for life in lives])
    trained = sum(life.record.train_seconds for life in lives)
    return {
        "wall": round(wall, 2),
        "train": round(trained, 2),
        "compile": round(sum(life.record.compile_seconds for life in lives), 2),
        "wait": round(max(0.0, wall * len(lanes) - trained), 2),
        "lanes": len(lanes),
        "busy": [_busy(spans, wall) for spans in lanes[:_MOST_LANES]],
        "sessions": len(history.journal.sessions),
        "lost": len(history.journal.lost),
    }


def _span(life: Life, elapsed: Callable[[Record], float]) -> tuple[float, float]:
    end = elapsed(life.record)
    return max(0.0, end - life.record.train_seconds), end


def _lanes(spans: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Returns the spans of each lane, on as few lanes as can train them."""
    lanes: list[list[tuple[float, float]]] = []
    running: list[tuple[float, int]] = []
    free: list[tuple[float, int]] = []
    for begin, end in sorted(spans):
        # Clocks differ by some milliseconds between the end of a training and its record.
        while running and running[0][0] <= begin + 0.01:
            freed, lane = heapq.heappop(running)
            heapq.heappush(free, (-freed, lane))
        if free:
            _, lane = heapq.heappop(free)
        else:
            lane = len(lanes)
            lanes.append([])
        lanes[lane].append((begin, end))
        heapq.heappush(running, (end, lane))
    return lanes


def _busy(spans: Sequence[tuple[float, float]], wall: float) -> list[int]:
    """Returns the percentage of each block of time that a lane trained."""
    seconds = [0.0] * _BLOCKS
    width = max(wall, 1e-9) / _BLOCKS
    for begin, end in spans:
        first, last = int(begin / width), min(int(end / width), _BLOCKS - 1)
        for block in range(first, last + 1):
            seconds[block] += max(0.0, min(end, (block + 1) * width) - max(begin, block * width))
    return [min(100, round(100 * value / width)) for value in seconds]
