"""Ask JAX for the kind of this machine's devices and for the flags that its XLA knows.

XLA aborts the process at an unknown flag, and JAX can start only once in a process. So a short child process tries the
flags and lists the devices; its answer is kept in the cache folder.
"""

import contextlib
import dataclasses
import glob
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxevo.environment.folders import cache_dir
from jaxevo.environment.topology import single_host_topology

_QUESTION = "import jax; print(jax.local_devices()[0].platform)"
# libtpu may take a minute. If JAX takes longer than this, it waits for something that never comes.
_TIMEOUT_SECONDS = 300.0
_UNKNOWN = re.compile(r"Unknown flags? in XLA_FLAGS:(.*)")
_DEVICE_FILES = (
    "/dev/nvidia[0-9]*",
    "/dev/nvidiactl",
    "/dev/dxg",
    "/dev/accel*",
    "/dev/vfio/*",
    "/dev/kfd",
    "/dev/dri/renderD*",
    "/dev/neuron*",
)
_VARIABLES = (
    "JAX_PLATFORMS",
    "JAX_PLATFORM_NAME",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "TPU_VISIBLE_CHIPS",
    "TPU_PROCESS_BOUNDS",
    "TPU_LIBRARY_PATH",
    "PJRT_NAMES_AND_LIBRARY_PATHS",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
)


@dataclass(frozen=True)
class Found:
    """The answer of JAX.

    Attributes:
        platform: of JAX's default devices: `cpu`, `gpu`, `tpu`, or that of another plugin.
        flags: the tried flags that its XLA knows.
    """

    platform: str
    flags: tuple[str, ...]


def ask_jax(candidates: Sequence[str]) -> Found:
    """Returns JAX's answer in this process's environment, from the cache folder if it was asked before.

    JAX is asked on every machine. Missing device files prove nothing, since a plugin may reach its device over the
    network or by a file of another name, and the flags need a child process anyway.

    Args:
        candidates: flags to try in addition to those of `XLA_FLAGS`.

    Raises:
        ValueError: if JAX does not start.
    """
    present = tuple(os.environ.get("XLA_FLAGS", "").split())
    files = sorted(path for pattern in _DEVICE_FILES for path in glob.glob(pattern))
    # A process that a prepared one starts has the topology in its environment already.
    environment = {**os.environ, **single_host_topology()}
    key = {
        # Sorted, because the child of a prepared process finds the flags in its environment in another order.
        "flags": sorted({*present, *candidates}),
        "device files": files,
        "variables": {name: environment[name] for name in _VARIABLES if name in environment},
        "packages": _versions(),
        "python": sys.prefix,
    }
    path = _path(key)
    found = _read(path, key)
    if found is None:
        found = _ask(present, candidates)
        # A device that JAX did not find may be busy or lack its driver or plugin, so the next start asks again.
        if found.platform != "cpu" or not files:
            _write(path, key, found)
    return found


def forget() -> None:
    """Deletes all cached answers; skips those that cannot be deleted."""
    for path in _folder().glob("*.json"):
        with contextlib.suppress(OSError):
            path.unlink()


def module_path() -> str:
    """Returns `PYTHONPATH` for a child that must find this process's modules, not all on the interpreter's own path."""
    return os.pathsep.join(filter(None, sys.path))


def _ask(present: Sequence[str], candidates: Sequence[str]) -> Found:
    accepted = [flag for flag in candidates if flag not in present]
    while (ended := _child([*present, *accepted])).returncode != 0:
        refused = [flag for flag in accepted if flag in _refused(ended.stderr)]
        if not refused:
            # Another XLA may word this message differently: then each flag is tried alone.
            refused = [flag for flag in accepted if _child([*present, flag]).returncode != 0]
        if not refused:
            last = next(reversed(ended.stderr.strip().splitlines()), f"exit status {ended.returncode}")
            raise ValueError(f"JAX does not start on this machine: {last}")
        accepted = [flag for flag in accepted if flag not in refused]
    return Found(ended.stdout.split()[-1], tuple(flag for flag in candidates if flag in (*present, *accepted)))


def _child(flags: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Asks JAX in a new process with these flags.

    No Python code runs between fork and exec, which is safe even if JAX runs in this process.
    """
    environment = {
        **os.environ,
        **single_host_topology(),
        "XLA_FLAGS": " ".join(flags),
        # Take no GPU memory, which others may use.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "PYTHONPATH": module_path(),
    }
    command = [sys.executable, "-P", "-c", _QUESTION]
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"JAX does not start on this machine within {_TIMEOUT_SECONDS:.0f} seconds") from error


def _refused(stderr: str) -> list[str]:
    return [flag for found in _UNKNOWN.finditer(stderr) for flag in found[1].split()]


def _versions() -> dict[str, str]:
    """Returns the versions of JAX and its plugins, to tell answers apart. They say nothing about the devices."""
    packages = {"jax", "jaxlib", "libtpu"}
    packages |= {point.dist.name for point in importlib.metadata.entry_points(group="jax_plugins") if point.dist}
    versions = {}
    for name in sorted(packages):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _folder() -> Path:
    return cache_dir() / "devices"


def _path(key: Mapping[str, Any]) -> Path:
    return _folder() / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}.json"


def _read(path: Path, key: Mapping[str, Any]) -> Found | None:
    """Returns a cached answer; None if it is missing, damaged, or that of another question."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        platform, flags = kept["found"]["platform"], kept["found"]["flags"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = isinstance(platform, str) and isinstance(flags, list) and set(flags) <= set(key["flags"])
    return Found(platform, tuple(flags)) if fits and kept["key"] == key else None


def _write(path: Path, key: Mapping[str, Any], found: Found) -> None:
    """Caches an answer in one rename; does nothing if the folder cannot be written."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"key": key, "found": dataclasses.asdict(found)}), encoding="utf-8")
        os.replace(temporary, path)
