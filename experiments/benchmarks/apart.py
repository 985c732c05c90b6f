"""Functions called in a fresh process, and the processor time and memory that work takes."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """Calls a function in a new process, which has imported nothing yet; returns its result."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def processor_seconds(work: Callable[[], T]) -> tuple[T, float]:
    """Returns the result of `work` and the processor seconds of all threads of this process meanwhile."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def peak_memory() -> int:
    """Returns this process's peak memory in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in kibibytes.
