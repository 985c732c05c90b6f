"""The lanes of this machine: how many, and which devices each of them owns."""

import os

from jaxevo.networks.devices import Devices, device_groups
from jaxevo.settings import Execution

# More would wait: a lane has about four births in flight.
_MOST_COMPILING_AHEAD = 4
# A lane of an accelerator trains a small network faster than a core compiles it, and leaves its own core idle.
_MOST_COMPILING_FOR_ACCELERATOR = 16


def lane_devices(execution: Execution) -> list[Devices]:
    """Returns this machine's devices in the groups that lanes own; lanes of one device may share it.

    Raises:
        ValueError: if there are too few devices for a lane, or for all lanes where each has several.
    """
    groups = device_groups(execution.devices_per_lane)
    # Two threads that send programs to the same devices may reach them in different orders, and each all-reduce would
    # then wait for the other for ever.
    if execution.devices_per_lane > 1 and execution.lanes is not None and execution.lanes > len(groups):
        raise ValueError(
            f"lanes is {execution.lanes}, but must be at most {len(groups)}: "
            f"this machine has no more groups of devices_per_lane {execution.devices_per_lane}"
        )
    return groups


def number_of_lanes(execution: Execution, groups: list[Devices]) -> int:
    """Returns how many lanes there are: as many as asked for, in all or on each device.

    By default each group of devices has one; on CPU, where lanes share a device, each core that this process may use.
    """
    if execution.lanes is not None:
        return execution.lanes
    if execution.lanes_per_device is not None:
        return execution.lanes_per_device * len(groups)
    shared = groups[0].first.platform == "cpu" and len(groups[0]) == 1
    return len(os.sched_getaffinity(0)) if shared else len(groups)


def threads_ahead(lanes: int, groups: list[Devices]) -> int:
    """Returns how many threads compile ahead for a group of devices: on CPU they share the cores that lanes leave."""
    cores = len(os.sched_getaffinity(0))
    if groups[0].first.platform != "cpu":
        return max(1, min(cores // len(groups), _MOST_COMPILING_FOR_ACCELERATOR))
    return max(1, min((cores - lanes) // len(groups), _MOST_COMPILING_AHEAD))
