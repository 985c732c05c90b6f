"""Signals that ask a process to stop: a user's Ctrl-C, a machine that is taken away, a terminal that is closed."""

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED_STATUS = 130
"""The exit status of a command that a signal stopped."""

_SAME_WISH_SECONDS = 1.0
_AGAIN_SECONDS = 0.01

Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Has every signal to stop raise `KeyboardInterrupt`, wherever the process is."""
    with _handled_by(_stop):
        yield


@contextlib.contextmanager
def wish_to_stop() -> Iterator[Callable[[], bool]]:
    """Takes the first signal as a wish to stop cleanly, which is asked for; a later SIGINT ends the process as usual.

    One within a second is the same wish: a terminal or `timeout` may signal a process and its group.
    """
    came: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(time.monotonic())
        if number == signal.SIGINT and came[-1] - came[0] > _SAME_WISH_SECONDS:
            _stop(number, frame)

    with _handled_by(note):
        yield lambda: bool(came)


@contextlib.contextmanager
def _handled_by(handler: Handler) -> Iterator[None]:
    """Has a function handle the signals to stop."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # As it is under `nohup`.
        numbers.append(signal.SIGHUP)
    try:
        previous = {number: signal.signal(number, handler) for number in numbers}
    except ValueError:  # Not the main thread: there the signals stay the caller's.
        yield
        return
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raises `KeyboardInterrupt` for a signal, now or in an instant.

    One that Python hands over while it collects garbage would be lost, since nothing can be raised there: JAX has a
    function of its own called at each collection, so that happens. Such a signal is sent again.
    """
    if not _collecting_garbage(frame):
        raise KeyboardInterrupt
    threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()


def _collecting_garbage(frame: FrameType | None) -> bool:
    """Returns whether a frame runs in a function that the garbage collector calls."""
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        if frame.f_code in callbacks:
            return True
        frame = frame.f_back
    return False
