"""Placement of lanes on this machine: their number and their devices."""

from jaxevo.environment.cores import usable_cores
from jaxevo.networks.devices import Devices, device_groups
from jaxevo.settings import Execution

# More threads would be idle: a lane has about four births in flight.
_MOST_COMPILING_AHEAD = 4
# An accelerator trains a small network faster than a core compiles it, and its lane leaves its own core idle.
_MOST_COMPILING_FOR_ACCELERATOR = 16


def lane_devices(execution: Execution) -> list[Devices]:
    """Returns this machine's devices in groups of one lane each; lanes of a single device may share it.

    Raises:
        ValueError: if there are too few devices for one lane, or for all lanes if each has several.
    """
    groups = device_groups(execution.devices_per_lane)
    # Lanes of several devices cannot share them: programs of two threads may reach the devices in different orders, and
    # their all-reduces would then deadlock.
    if execution.devices_per_lane > 1 and execution.lanes is not None and execution.lanes > len(groups):
        raise ValueError(
            f"lanes is {execution.lanes}, but must be at most {len(groups)}: "
            f"this machine has no more groups of devices_per_lane {execution.devices_per_lane}"
        )
    return groups


def number_of_lanes(execution: Execution, groups: list[Devices]) -> int:
    """Returns the number of lanes, as set in total or per device.

    The default is one lane per group of devices; on CPU, where lanes share a device, one per core that this process may
    use.
    """
    if execution.lanes is not None:
        return execution.lanes
    if execution.lanes_per_device is not None:
        return execution.lanes_per_device * len(groups)
    shared = groups[0].first.platform == "cpu" and len(groups[0]) == 1
    return usable_cores() if shared else len(groups)


def lanes_per_accelerator(lanes: int, groups: list[Devices]) -> int:
    """Returns the lanes that share an accelerator; 1 on CPU, where each has a core."""
    return 1 if groups[0].first.platform == "cpu" else -(-lanes // len(groups))


def threads_ahead(lanes: int, groups: list[Devices]) -> int:
    """Returns the threads that compile ahead for each group of devices; on CPU they share the cores without a lane."""
    cores = usable_cores()
    if groups[0].first.platform != "cpu":
        return max(1, min(cores // len(groups), _MOST_COMPILING_FOR_ACCELERATOR))
    return max(1, min((cores - lanes) // len(groups), _MOST_COMPILING_AHEAD))
