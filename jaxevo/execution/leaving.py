"""End a process in which a thread still compiles.

Nothing can interrupt a compilation, and Python waits for such a thread, or crashes beside it.
"""

import atexit
import os
import sys
import threading
from collections.abc import Iterable

from jaxevo.signals import INTERRUPTED_STATUS

_left: list[threading.Thread] = []


def leave_running(threads: Iterable[threading.Thread]) -> None:
    """Lets this process end although some of these threads still run."""
    running = [thread for thread in threads if thread.is_alive()]
    if running and not _left:
        atexit.register(_leave_program)
    _left.extend(running)


def leave(status: int) -> None:
    """Ends this process at once with an exit status if a thread still runs; returns otherwise."""
    if any(thread.is_alive() for thread in _left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _leave_program() -> None:
    """Ends a program that is not ours. Of its exit status only the error is known that ended it, if one did."""
    error = getattr(sys, "last_value", None)
    leave(INTERRUPTED_STATUS if isinstance(error, KeyboardInterrupt) else int(error is not None))
