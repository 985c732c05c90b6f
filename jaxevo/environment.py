"""What must be set before JAX starts, and what of a machine shapes a result.

On CPU, XLA's pool is pinned to one thread and every step is dispatched by the thread that asks for it: so lanes are
threads that share one device without sharing work, and a result does not depend on their number. Only where an
individual is to be trained on several devices, virtual ones are made. On GPUs deterministic operations are
on, so that no kernel is chosen by timing either.
"""

import glob
import importlib.util
import os
import platform
import sys

from jaxevo.settings import Execution

_CPU_FLAGS = (
    # Nets of ten layers would hand their work to the one pool thread, and a second lane would gain nothing.
    "--xla_cpu_enable_concurrency_optimized_scheduler=false",
    # Compiles 10 % faster than the default level and runs as fast.
    "--xla_backend_optimization_level=1",
    # Compiles 30 % faster than the newer emitters, and what it compiles runs as fast.
    "--xla_cpu_use_fusion_emitters=false",
    # One LLVM module a program: another 15 % less work. Lanes keep the cores busy, so splitting it gains no time.
    "--xla_cpu_parallel_codegen_split_count=1",
)
# Deterministic operations imply that no kernel is chosen by timing. The flag that turns autotuning off must not stand
# beside it: cuDNN then convolves by its first algorithm, 17 times slower for ResNet-20 on an H100.
_GPU_FLAGS = ("--xla_gpu_deterministic_ops=true",)
_TPU_FILES = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
# How libtpu lays out the chips of one host, by their number.
_CHIP_BOUNDS = {1: "1,1,1", 2: "1,2,1", 4: "2,2,1", 8: "2,4,1"}
_TPU_PORT = 8476
_FORCED_CPU_DEVICES = "--xla_force_host_platform_device_count"
_prepared_for: int | None = None
"""CPU devices that this process was prepared to have; None before."""
_ACCELERATOR_PLUGINS = (
    "jax_cuda12_plugin",
    "jax_cuda13_plugin",
    "jax_rocm60_plugin",
    "jax_rocm7_plugin",
    "libtpu",
)


def required_environment(fast: bool = False) -> dict[str, str]:
    """Returns the environment variables that a run needs, on top of the present ones; `fast` is the setting."""
    present = os.environ.get("XLA_FLAGS", "").split()
    chosen = {flag.split("=")[0] for flag in present}
    accelerated = _accelerator_expected()
    wanted = (() if fast else _GPU_FLAGS) if accelerated else _CPU_FLAGS
    flags = present + [flag for flag in wanted if flag.split("=")[0] not in chosen]
    required = {"XLA_FLAGS": " ".join(flags)}
    if not accelerated:
        required["NPROC"] = "1"
    # Orbax and TensorFlow's C++ parts print lines that mean nothing to a user.
    return required | {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}


def prepare_process(execution: Execution | None = None) -> bool:
    """Starts JAX in this process as a run needs it; returns False where it was loaded before, with other settings.

    Args:
        execution: on what the run is executed; None for all that trains nothing.
    """
    global _prepared_for
    execution = execution or Execution()
    cpu_devices = _cpu_devices(execution)
    if _prepared_for is not None:
        return cpu_devices <= _prepared_for
    if "jax" in sys.modules:
        return False
    os.environ.update(required_environment(execution.fast))
    import jax

    # A flag that no environment variable sets. Asynchronous steps of all lanes would queue for the one pool thread.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    # Virtual devices leave the pool as it is: XLA adds the threads they need, with which the all-reduce was never short
    # of one, and results depend neither on these nor on the number of lanes. No XLA flag, since those are recorded as
    # what may shape a result.
    if cpu_devices > 1 and _FORCED_CPU_DEVICES not in os.environ["XLA_FLAGS"]:
        jax.config.update("jax_num_cpu_devices", cpu_devices)
    _prepared_for = cpu_devices
    return True


def single_host_topology() -> dict[str, str]:
    """Returns the variables by which JAX uses the TPU chips of this host alone; none where there are no chips.

    On a host of a pod slice JAX would else wait for the processes of all the other hosts. Chips that
    `TPU_VISIBLE_CHIPS` names already are kept to, and so is a topology that is set already.
    """
    visible = os.environ.get("TPU_VISIBLE_CHIPS", "")
    chips = visible.split(",") if visible else [str(chip) for chip in range(_tpu_chips())]
    bounds = _CHIP_BOUNDS.get(len(chips))
    if bounds is None or "TPU_PROCESS_BOUNDS" in os.environ:
        return {}
    return {
        "TPU_VISIBLE_CHIPS": ",".join(chips),
        "TPU_PROCESS_BOUNDS": "1,1,1",
        "TPU_CHIPS_PER_PROCESS_BOUNDS": bounds,
        "TPU_PROCESS_ADDRESSES": f"localhost:{_TPU_PORT}",
        "TPU_PROCESS_PORT": str(_TPU_PORT),
        "CLOUD_TPU_TASK_ID": "0",
    }


def instruction_sets() -> str:
    """Returns what names this machine's processor, since XLA compiles for it: its architecture and vector sets."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line.split(":")[1].split() for line in file if line.startswith(("flags", "Features"))), [])
    except OSError:
        flags = []
    vectors = sorted(flag for flag in flags if flag.startswith(("avx", "fma", "amx", "sve", "asimd")))
    return " ".join((platform.machine(), *vectors))


def _tpu_chips() -> int:
    return max(len(glob.glob(pattern)) for pattern in _TPU_FILES)


def _cpu_devices(execution: Execution) -> int:
    """Returns how many CPU devices a run needs: one that all lanes share, or a group of its own for each of them."""
    each = execution.devices_per_lane
    if each == 1 or _accelerator_expected():
        return 1
    lanes = execution.lanes if execution.lanes is not None else max(1, len(os.sched_getaffinity(0)) // each)
    return lanes * each


def _accelerator_expected() -> bool:
    """Whether JAX is going to find an accelerator's plugin, as far as can be told without starting it."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return not platforms.startswith("cpu")
    return any(importlib.util.find_spec(name) is not None for name in _ACCELERATOR_PLUGINS)
