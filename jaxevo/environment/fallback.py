"""Accelerators that this machine seems to have, and that JAX did not find."""

import glob
import importlib.metadata
import os

from jaxevo.environment import prepared_platform

# Files that stand for a GPU of NVIDIA's or a TPU chip, and for little else.
_DEVICE_FILES = ("/dev/nvidia[0-9]*", "/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
_HIDDEN = ("", "-1", "none", "void")


def fallback_problem() -> str | None:
    """Returns a sentence if this process uses its CPU although there seems to be an accelerator; None otherwise.

    It is None too if the environment says that CPU is meant.
    """
    if prepared_platform() != "cpu" or _cpu_is_meant():
        return None
    signs = [path for pattern in _DEVICE_FILES for path in sorted(glob.glob(pattern))][:1] or _plugins()
    if not signs:
        return None
    return (
        f"JAX found no accelerator and uses the CPU, although this machine has {signs[0]}: see what python -c 'import "
        "jax; print(jax.devices())' says; it may lack JAX's plugin (pip install 'jaxevo[cuda13]', 'jaxevo[tpu]'), or a "
        "driver, or another process may hold the device. JAX_PLATFORMS=cpu says that the CPU is meant"
    )


def _cpu_is_meant() -> bool:
    platforms = os.environ.get("JAX_PLATFORMS", "").split(",")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return platforms[0] == "cpu" or (hidden is not None and hidden.strip().lower() in _HIDDEN)


def _plugins() -> list[str]:
    """Returns the names of installed packages that bring an accelerator's plugin."""
    points = importlib.metadata.entry_points(group="jax_plugins")
    names = {point.dist.name for point in points if point.dist is not None}
    names |= {found.name for found in importlib.metadata.distributions(name="libtpu")}
    return sorted(names)
