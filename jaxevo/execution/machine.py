"""The machine that trains, as far as it may shape a result's last bits."""

import os
from collections.abc import Mapping

import jax

from jaxevo.environment import instruction_sets
from jaxevo.settings import Execution
from jaxevo.storage.workdir import software_versions


def describe_machine(execution: Execution) -> dict[str, str]:
    """Returns what may shape a result's last bits, beside settings and data."""
    return {
        **software_versions(),
        "device": jax.local_devices()[0].device_kind,
        "devices per lane": str(execution.devices_per_lane),
        "instruction sets": instruction_sets(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "NPROC": os.environ.get("NPROC", ""),
    }


def differences(here: Mapping[str, str], began: Mapping[str, str]) -> list[str]:
    """Returns the beginning of a sentence for all that differs on a machine from where a run began."""
    return [
        f"{name} is {value!r}, but was {began.get(name)!r}" for name, value in here.items() if began.get(name) != value
    ]
