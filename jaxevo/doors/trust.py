"""Whose code may run: that of doors from outside runs only if the user says so."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from jaxevo.doors.opening import Door, check_named, open_recorded
from jaxevo.search.doors import Doors
from jaxevo.settings import Execution, Settings


@dataclass(frozen=True)
class Trust:
    """What a user allows to run.

    Attributes:
        code: True for the code of all doors from outside that a work folder names.
        doors: doors that the user named again, whose source must be that which the run began with.
    """

    code: bool = False
    doors: tuple[str, ...] = ()


NOTHING = Trust()
"""No code from outside runs."""


def trust_of(execution: Execution) -> Trust:
    """Returns what the options of a session allow."""
    return Trust(execution.trust_code, tuple(shlex.split(execution.trust_doors or "")))


def allowed(records: tuple[Door, ...], trust: Trust) -> bool:
    """Returns True if all doors of a run may be opened.

    Raises:
        DoorError: if the user named doors, but not these, or others with their names.
    """
    if not trust.code and trust.doors:
        check_named(records, trust.doors)
    return trust.code or bool(trust.doors) or not records


def open_trusted(settings: Settings, records: tuple[Door, ...], workdir: Path, trust: Trust) -> Doors:
    """Opens the doors of a run that has begun.

    Raises:
        DoorError: if a door is from outside and not trusted, or its source is missing or has changed.
    """
    if not allowed(records, trust):
        check_named(records, ())
    return open_recorded(settings, records, workdir)
