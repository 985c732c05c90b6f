"""The command that goes on where a signal stopped a job."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from jaxevo.settings import Execution, Limits
from jaxevo.storage.workdir import shown

_CHOSEN_ANEW = ("lanes", "lanes_per_device", "programs_in_memory", "snapshot_interval")
"""Options that the next session may choose anew; without the others it may train other bits, or remove weights."""


def next_command(command: str, path: Path, *options: Limits | Execution, **more: object) -> str:
    """Returns the command line of `jaxevo COMMAND` on a work folder, with the options that were given to the job.

    Args:
        command: such as "resume".
        path: the work folder.
        *options: of the job; what is as by default, or may differ in each session, is left out.
        **more: options by name; None leaves one out.
    """
    given = {name: value for name, value in more.items() if value is not None}
    for one in options:
        given |= _given(one)
    words = ["jaxevo", command, shown(path)]
    for name, value in given.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


def _given(options: Limits | Execution) -> dict[str, Any]:
    values = {field.name: (getattr(options, field.name), field.default) for field in dataclasses.fields(options)}
    return {name: value for name, (value, default) in values.items() if name not in _CHOSEN_ANEW and value != default}
