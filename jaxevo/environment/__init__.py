"""Prepare a process for JAX, before JAX starts.

On CPU, XLA's pool has one thread and every step is dispatched by the thread that calls it. So lanes are threads that
share a device but no work, and results do not depend on their number. Virtual devices are made only if individuals
train on several. On GPUs, deterministic operations are on, so that no kernel is chosen by timing.
"""

import logging
import os
import sys
import threading
from dataclasses import dataclass

from jaxevo.environment.cores import usable_cores
from jaxevo.environment.flags import CPU_FLAGS, GPU_FLAGS
from jaxevo.environment.probe import Found, ask_jax, forget
from jaxevo.environment.topology import single_host_topology
from jaxevo.settings import Execution

SWITCH_SECONDS = 0.0005
"""Seconds that a thread waits for the interpreter. While another thread traces a program, a lane must not wait for the
default 5 ms: a step of a small network takes a fifth of that."""

_FLAGS = (*CPU_FLAGS, *GPU_FLAGS)
_FORCED_CPU_DEVICES = "--xla_force_host_platform_device_count"
_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
_THREADS = "/proc/self/task"
"""Linux lists the threads of this process here, each by its number."""


@dataclass(frozen=True)
class _Preparation:
    """The preparation of this process.

    Attributes:
        platform: of the devices that JAX is expected to use.
        cpu_devices: number of CPU devices.
        executor: of the runs. The host of a cluster keeps JAX off its accelerators.
        fast: True if operations of GPUs may be not deterministic.
    """

    platform: str
    cpu_devices: int
    executor: str
    fast: bool


_prepared: _Preparation | None = None
_forked = False
"""True if this process was forked from a prepared one in which JAX ran, whose threads a fork does not copy."""


def prepare_process(execution: Execution | None = None, beside_others: bool = False) -> bool:
    """Prepares this process for a run: JAX, the interpreter's switch interval, and the log of Orbax and TFDS.

    The preparation lasts as long as the process. No other part of jaxevo changes it.

    Args:
        execution: of the run; None if nothing is trained.
        beside_others: True to take memory of a GPU as it is needed, so that a run may use the same GPU, which takes
            three quarters of it when it starts. Always so if nothing is trained.

    Returns:
        False if the run needs a process of its own: JAX was loaded before with other settings, or runs in the process
        that this one was forked from, whose threads a fork does not copy.

    Raises:
        ValueError: if JAX does not start on this machine.
    """
    global _prepared
    beside_others = beside_others or execution is None
    execution = execution or Execution()
    if _forked or (_starts_ray(execution) and _jax_runs()):
        return False
    if _prepared is not None:
        return _suffices(_prepared, execution)
    if "jax" in sys.modules:
        return False
    found = _ask()
    os.environ.update(_environment(found, execution.fast))
    if beside_others and found.platform == "gpu":
        os.environ.setdefault(_PREALLOCATE, "false")
    import jax

    # A flag that no environment variable sets. Asynchronous steps of all lanes would queue for the one pool thread.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    cpu_devices = _cpu_devices(execution, found.platform)
    # Virtual devices leave the pool as it is: XLA adds the threads that their all-reduce needs, and results depend
    # neither on these nor on the number of lanes. Not an XLA flag, since those are recorded as possible influences on a
    # result.
    if cpu_devices > 1 and _FORCED_CPU_DEVICES not in os.environ["XLA_FLAGS"]:
        jax.config.update("jax_num_cpu_devices", cpu_devices)
    sys.setswitchinterval(SWITCH_SECONDS)
    # Orbax and TFDS log every file there, and every error in addition to raising it.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    os.register_at_fork(after_in_child=_after_fork)
    _prepared = _Preparation(found.platform, cpu_devices, execution.executor, execution.fast)
    return True


def prepared_platform() -> str | None:
    """Returns the platform of the devices that JAX is expected to use, None if this process is not prepared.

    Unlike JAX's own answer, it starts no device.
    """
    return None if _prepared is None else _prepared.platform


def check_not_forked() -> None:
    """Checks that JAX can compute in this process, so that it does not hang.

    Raises:
        RuntimeError: if this process was forked from one in which JAX had run.
    """
    if _forked or _jax_lost_its_threads():
        raise RuntimeError(
            "this process was forked from one in which JAX had run, and JAX would hang in it: start it with "
            "multiprocessing.get_context('spawn'), or fork before anything is computed"
        )


def check_platform(platform: str) -> None:
    """Checks that JAX uses devices of the platform that this process was prepared for.

    Raises:
        ValueError: if it does not. Cached answers of JAX are deleted, so that the next start asks again.
    """
    if _prepared is not None and platform != _prepared.platform:
        forget()
        raise ValueError(
            f"JAX found devices of the platform {_prepared.platform!r} when it was asked, and {platform!r} now: "
            "a device or its driver has changed since. Start again"
        )


def _ask() -> Found:
    """Asks JAX for its devices, and tries our flags except those that the user has set to another value."""
    named = {flag.split("=")[0] for flag in os.environ.get("XLA_FLAGS", "").split() if flag not in _FLAGS}
    return ask_jax([flag for flag in _FLAGS if flag.split("=")[0] not in named])


def _environment(found: Found, fast: bool) -> dict[str, str]:
    present = os.environ.get("XLA_FLAGS", "").split()
    if fast:
        # The process that started this one may have set them.
        present = [flag for flag in present if flag not in GPU_FLAGS]
    wanted = {"cpu": CPU_FLAGS, "gpu": () if fast else GPU_FLAGS}.get(found.platform, ())
    flags = present + [flag for flag in wanted if flag in found.flags and flag not in present]
    required = {"XLA_FLAGS": " ".join(flags)}
    if found.platform == "cpu":
        required["NPROC"] = "1"
    if found.platform == "tpu":
        # On a host of a pod slice JAX would wait for the processes of all other hosts.
        required |= single_host_topology()
    # The C++ parts of Orbax and TensorFlow print lines that mean nothing to a user.
    return required | {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}


def _suffices(prepared: _Preparation, execution: Execution) -> bool:
    """Returns True if a prepared process suits a run."""
    same_devices = prepared.platform == "cpu" or execution.executor == prepared.executor
    same_flags = prepared.platform != "gpu" or execution.fast == prepared.fast
    return same_devices and same_flags and _cpu_devices(execution, prepared.platform) <= prepared.cpu_devices


def _cpu_devices(execution: Execution, platform: str) -> int:
    """Returns the number of CPU devices that a run needs: one for all lanes, or a group of its own for each lane."""
    each = execution.devices_per_lane
    if each == 1 or platform != "cpu":
        return 1
    lanes = execution.lanes if execution.lanes is not None else max(1, usable_cores() // each)
    return lanes * each


def _starts_ray(execution: Execution) -> bool:
    """Returns True if a run starts its own Ray, which forks this process and runs Python code in the fork."""
    ray = sys.modules.get("ray")
    on_already = ray is not None and ray.is_initialized()
    return execution.executor == "ray" and execution.ray_address is None and not on_already


def _jax_runs() -> bool:
    """Returns True if JAX has started its backends and their threads, here or in the process forked from."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bridge.backends_are_initialized()


def _jax_lost_its_threads() -> bool:
    """Returns True if JAX runs but all threads here are Python's. On Linux only; False elsewhere.

    Finds a fork that `_after_fork` did not see, because jaxevo had not prepared the process forked from. XLA starts
    its threads with the backends and keeps them, and a fork copies none but the one that forks.
    """
    if not _jax_runs() or not os.path.isdir(_THREADS):
        return False
    pythons = {os.getpid(), *(thread.native_id for thread in threading.enumerate())}
    return pythons.issuperset(map(int, os.listdir(_THREADS)))


def _after_fork() -> None:
    global _forked
    _forked = _forked or _jax_runs()
