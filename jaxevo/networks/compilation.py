"""Keep the programs of architectures, in memory within bounds and on disk across runs."""

import collections
import concurrent.futures
import ctypes
import gc
import os
import threading
import warnings
from collections.abc import Hashable
from pathlib import Path

import jax

from jaxevo.data import Dataset
from jaxevo.doors.opening import built_in
from jaxevo.environment import prepared_platform
from jaxevo.networks.devices import Devices
from jaxevo.networks.programs import ProgramMaker, Programs
from jaxevo.search.doors import Doors
from jaxevo.settings import Execution, Settings

# Programs of a TPU take 0.5 to 10 MiB on disk and 3 to 40 in its memory, and minutes to compile; on CPUs and GPUs they
# take less than 0.5 MiB on disk.
_CACHE_BYTES = 512 * 2**20
_CACHE_BYTES_OF_TPU = 8 * 2**30
_MOST_CODE_BYTES = 2**30


class Compiler:
    """A compiler for the devices of a lane: compiles each architecture once and keeps the programs of the last ones.

    It keeps those of at most `capacity` architectures, and less than 1 GiB of code. Threads may share it. Two that ask
    for the same architecture share one compilation.

    Attributes:
        capacity: architectures whose programs it keeps.
    """

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        devices: Devices,
        capacity: int = Execution.programs_in_memory,
        doors: Doors | None = None,
        step_by_step: bool | None = None,
    ) -> None:
        """Compiles the programs that all architectures share; `doors` are the built-in ones by default.

        For `step_by_step` see `ProgramMaker`.
        """
        doors = built_in(settings) if doors is None else doors
        self._maker = ProgramMaker(settings, doors, dataset, devices, step_by_step)
        self.capacity = capacity
        self._dropped = 0
        self._known: collections.OrderedDict[Hashable, concurrent.futures.Future[Programs]]
        self._known = collections.OrderedDict()
        self._code_bytes: dict[Hashable, int] = {}
        self._unbilled: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def programs(self, architecture: Hashable) -> Programs:
        """Returns an architecture's programs, compiling them if needed."""
        future, mine = self._entry(architecture)
        if not mine:
            return future.result()
        try:
            programs = self._maker.make(architecture)
        except BaseException as error:
            with self._lock:
                if self._known.get(architecture) is future:
                    del self._known[architecture]
            future.set_exception(error)
            raise
        with self._lock:
            self._unbilled[architecture] = programs.compile_seconds
            self._code_bytes[architecture] = programs.code_bytes
            many_dropped = self._drop(architecture)
        future.set_result(programs)
        # Trimming takes 0.2 s, which is little once per `capacity` compilations but too much after each.
        if many_dropped:
            _give_back_memory()
        return programs

    def bill(self, architecture: Hashable) -> float:
        """Returns the seconds that compiling took on the first call, then 0, so that they are counted once."""
        with self._lock:
            return self._unbilled.pop(architecture, 0.0)

    def knows(self, architecture: Hashable) -> bool:
        """Returns True if the architecture is compiled or being compiled."""
        with self._lock:
            return architecture in self._known

    def has(self, architecture: Hashable) -> bool:
        """Returns True if the architecture is compiled, so that `programs` returns at once."""
        with self._lock:
            future = self._known.get(architecture)
            return future is not None and future.done()

    def _entry(self, architecture: Hashable) -> tuple[concurrent.futures.Future[Programs], bool]:
        """Returns a future of the architecture's programs, and True if the caller must compile them."""
        with self._lock:
            known = self._known.get(architecture)
            if known is not None:
                self._known.move_to_end(architecture)
                return known, False
            mine = self._known[architecture] = concurrent.futures.Future()
            return mine, True

    def _drop(self, newest: Hashable) -> bool:
        """Drops the least recently used programs beyond the bounds, never those of `newest`.

        Returns:
            True once for every `capacity` architectures dropped.
        """
        before = self._dropped
        for architecture in [known for known in self._known if known != newest]:
            if len(self._known) <= self.capacity and sum(self._code_bytes.values()) <= _MOST_CODE_BYTES:
                break
            if self._known[architecture].done():
                del self._known[architecture], self._code_bytes[architecture]
                self._dropped += 1
        return self._dropped // self.capacity > before // self.capacity


def _give_back_memory() -> None:
    """Returns the memory of dropped programs to the system.

    Dropped programs lie in reference cycles, which Python collects less and less often as a run's history grows. glibc
    keeps the freed memory.
    """
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # Only glibc has it.
        malloc_trim(0)


def use_persistent_cache(folder: Path) -> None:
    """Keeps all executables in a folder of bounded size, so that later runs need not compile them again.

    GPUs of a kind share what one of them compiled; a TPU chip's programs are its own, and JAX loads them on no other.
    By default JAX stores no program that compiles in under a second, and never deletes any. A folder that cannot be
    written is not used: a session has said so (`cache_problem`).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    # If the disk becomes full, JAX would say so of every program.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    on_tpu = prepared_platform() == "tpu"
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES_OF_TPU if on_tpu else _CACHE_BYTES)
