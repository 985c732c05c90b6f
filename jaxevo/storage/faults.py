"""Kill points, at which a test kills the process as a power cut would.

Every write has a kill point before and after it. The environment variable `JAXEVO_KILL_POINT=NAME:COUNT` kills the
process with SIGKILL when it passes the point NAME for the COUNT-th time. If it is unset, a point costs one lookup.
"""

import collections
import os
import signal

KILL_POINTS = tuple(
    f"{moment} {write}"
    for write in ("attempt", "training checkpoint", "weights commit", "journal record", "snapshot", "collection")
    for moment in ("before", "after")
)

_passed: collections.Counter[str] = collections.Counter()


def kill_point(name: str) -> None:
    """Kills the process here if the environment asks for it."""
    wanted = os.environ.get("JAXEVO_KILL_POINT")
    if wanted is None:
        return
    if name not in KILL_POINTS:
        raise ValueError(f"kill point {name!r} is none of {KILL_POINTS}")
    _passed[name] += 1
    wanted_name, _, count = wanted.partition(":")
    if name == wanted_name and _passed[name] == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
