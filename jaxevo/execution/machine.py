"""Describe the machine of this process, as far as it may affect the last bits of a result."""

import os
import platform

import jax

from jaxevo.environment import check_platform
from jaxevo.environment.cores import usable_cores
from jaxevo.settings import Execution
from jaxevo.storage.machine import Machine, software_versions


def describe_machine(execution: Execution) -> Machine:
    """Returns the machine of this process.

    Raises:
        ValueError: if JAX runs on other devices than this process was prepared for.
    """
    device = jax.local_devices()[0]
    check_platform(device.platform)
    return Machine(
        packages=software_versions(),
        platform=device.platform,
        device=device.device_kind,
        runtime=" ".join(device.client.platform_version.split()),
        devices_per_lane=execution.devices_per_lane,
        processor=platform.machine(),
        vectors=_vectors(),
        xla_flags=tuple(os.environ.get("XLA_FLAGS", "").split()),
        thread_pool=_thread_pool() if device.platform == "cpu" else None,
    )


def machine_of_session(execution: Execution, began: Machine) -> Machine:
    """Returns the machine that trains in a session of a run that `began` on a machine: this one, or that of workers.

    Workers of a cluster are refused unless they are like the machine that began the run.
    """
    return describe_machine(execution) if execution.executor == "local" else began


def _vectors() -> tuple[str, ...]:
    """Returns this processor's vector instruction sets, for which XLA compiles."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line.split(":")[1].split() for line in file if line.startswith(("flags", "Features"))), [])
    except OSError:
        flags = []
    return tuple(sorted(flag for flag in flags if flag.startswith(("avx", "fma", "amx", "sve", "asimd"))))


def _thread_pool() -> int:
    """Returns the size of XLA's thread pool: NPROC, or the number of cores that this process may use."""
    given = os.environ.get("NPROC", "")
    return int(given) if given.isdecimal() else usable_cores()
