"""Handle the signals to stop: Ctrl-C (SIGINT), a machine taken away (SIGTERM), a closed terminal (SIGHUP)."""

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
    """Raises `KeyboardInterrupt` at every signal to stop, wherever the process is."""
    with _handled_by(_stop):
        yield


@contextlib.contextmanager
def wish_to_stop() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns True once a signal came, for a clean stop; a later SIGINT stops as usual.

    A SIGINT within a second is part of the first: a terminal or `timeout` may signal a process and its group.
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
    """Installs a handler of the signals to stop, and restores the previous ones."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Ignored under `nohup`.
        numbers.append(signal.SIGHUP)
    try:
        previous = {number: signal.signal(number, handler) for number in numbers}
    except ValueError:  # Only the main thread may set handlers; elsewhere the caller's remain.
        yield
        return
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raises `KeyboardInterrupt`, or sends the signal again if it came during garbage collection.

    An exception raised there would be lost. It does happen, because JAX registers a callback for each collection.
    """
    if not _collecting_garbage(frame):
        raise KeyboardInterrupt
    threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()


def _collecting_garbage(frame: FrameType | None) -> bool:
    """Returns True if a frame runs in a callback of the garbage collector."""
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        if frame.f_code in callbacks:
            return True
        frame = frame.f_back
    return False
