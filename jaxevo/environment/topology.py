"""The TPU chips of this host, without those of the other hosts of its slice."""

import glob
import os

_CHIP_FILES = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
# The layout of one host's chips in libtpu, by their number.
_CHIP_BOUNDS = {1: "1,1,1", 2: "1,2,1", 4: "2,2,1", 8: "2,4,1"}
_PORT = 8476


def single_host_topology() -> dict[str, str]:
    """Returns environment variables that make JAX use only the TPU chips of this host; none if there are no chips.

    Without them, JAX on a host of a pod slice waits for the processes of all other hosts. Chips that
    `TPU_VISIBLE_CHIPS` names are respected, and so is a topology that is already set.
    """
    visible = os.environ.get("TPU_VISIBLE_CHIPS", "")
    chips = visible.split(",") if visible else [str(chip) for chip in range(_chips())]
    bounds = _CHIP_BOUNDS.get(len(chips))
    if bounds is None or "TPU_PROCESS_BOUNDS" in os.environ:
        return {}
    return {
        "TPU_VISIBLE_CHIPS": ",".join(chips),
        "TPU_PROCESS_BOUNDS": "1,1,1",
        "TPU_CHIPS_PER_PROCESS_BOUNDS": bounds,
        "TPU_PROCESS_ADDRESSES": f"localhost:{_PORT}",
        "TPU_PROCESS_PORT": str(_PORT),
        "CLOUD_TPU_TASK_ID": "0",
    }


def _chips() -> int:
    return max(len(glob.glob(pattern)) for pattern in _CHIP_FILES)
