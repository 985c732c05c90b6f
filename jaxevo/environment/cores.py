"""The cores of this machine."""

import os


def usable_cores() -> int:
    """Returns the number of cores that this process may use; where systems do not say, such as macOS, of all cores."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
