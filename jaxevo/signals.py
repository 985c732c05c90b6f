"""Signals that ask a session to stop."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

_SAME_WISH_SECONDS = 1.0


@contextlib.contextmanager
def wish_to_stop() -> Iterator[Callable[[], bool]]:
    """Takes the first SIGINT or SIGTERM as a wish to stop cleanly; a later SIGINT ends the process as usual.

    One within a second is the same wish: a terminal or `timeout` may signal a process and its group.
    """
    came: list[float] = []

    def note(number: int, frame: object) -> None:
        came.append(time.monotonic())
        if number == signal.SIGINT and came[-1] - came[0] > _SAME_WISH_SECONDS:
            raise KeyboardInterrupt

    try:
        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Not the main thread: there the signals stay the caller's.
        yield lambda: False
        return
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
