"""Read the high-water mark of memory: that of the device, or that of the process if the device does not tell."""

import resource
import sys
from dataclasses import dataclass

import jax

DEVICE = "peak_bytes_in_use of the fullest device"
PROCESS = "peak resident memory of the process"


@dataclass(frozen=True)
class HighWaterMark:
    """The most memory that was in use since the process began.

    Attributes:
        source: `DEVICE` if JAX tells it of its devices, else `PROCESS`, which is all that a CPU has.
        peak_bytes: bytes.
    """

    source: str
    peak_bytes: int


def high_water_mark() -> HighWaterMark:
    """Returns the high-water mark of this process, which must have set JAX up."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    told = [one["peak_bytes_in_use"] for one in stats if "peak_bytes_in_use" in one]
    if told:
        return HighWaterMark(DEVICE, max(told))
    return HighWaterMark(PROCESS, _peak_resident_bytes())


def _peak_resident_bytes() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most  # Linux counts in kibibytes.
