"""Work in a process of its own, and what work takes: processor time, memory."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """Returns what a function returns in a new process, which has loaded nothing yet."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def processor_seconds(work: Callable[[], T]) -> tuple[T, float]:
    """Returns what the work returns, and the processor time that all threads of this process took meanwhile."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def peak_memory() -> int:
    """Returns the most bytes of memory that this process ever held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in kibibytes.
