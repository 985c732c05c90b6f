"""Host processes of tiny runs, to be disturbed. Each does what `jaxevo run` or `jaxevo resume` does.

They are forked from a process that has imported all that a run needs, so that a fault does not cost seconds of imports.
"""

import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Self

TINY: Mapping[str, object] = {
    "dataset": "digits",
    "seed": 3,
    "population_size": 6,
    "num_workers": 3,
    "compile_overhead": 0.0,
    "selection": "tournament",
    # The mutations of the presets, but those that need a new program are rare.
    "mutations": "growth,INSERT-CONVOLUTION=0.1,ALTER-NUMBER-OF-CHANNELS=0.1,ADD-SKIP=0.1,FILTER-SIZE=0,"
    "ALTER-STRIDE=0,INSERT-ONE-TO-ONE=0",
    "train_steps": 6,
    "batch_size": 20,
}
"""Settings of a run whose trainings take an instant. All else is that of the preset `demo`, the finish included."""
SNAPSHOT_INTERVAL = 4
SIGKILLED = -signal.SIGKILL

_TIMEOUT_SECONDS = 300.0
_POLL_SECONDS = 0.01
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["experiments.benchmarks.faults.nursery"])
_numbers = itertools.count()


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """Calls a function in a process of its own, which damaged files may crash; returns its result."""
    with ProcessPoolExecutor(1, _context) as pool:
        return pool.submit(function, *arguments).result(_TIMEOUT_SECONDS)


def run_arguments(path: Path, max_individuals: int, **changes: object) -> list[str]:
    """Returns the command line, without its program, that begins a tiny run."""
    flags = {**TINY, "workdir": path, "max_individuals": max_individuals, "lanes": 2}
    flags |= {"snapshot_interval": SNAPSHOT_INTERVAL, **changes}
    return ["run", *flag_texts(flags)]


def flag_texts(flags: Mapping[str, object]) -> list[str]:
    """Returns flags as command-line arguments."""
    return [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]


class Host:
    """A host process, the leader of its own process group. Leaving its context kills it."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[object],
        kill_point: str | None = None,
        disturb: Callable[[], None] | None = None,
    ) -> None:
        """Starts the process.

        Args:
            folder: for its output.
            arguments: of the command line, without the program.
            kill_point: `NAME:COUNT`, at which it kills itself (see `jaxevo.storage.faults`).
            disturb: called in the process before the command.
        """
        self._log = folder / f"host-{os.getpid()}-{next(_numbers)}.log"
        environment = {} if kill_point is None else {"JAXEVO_KILL_POINT": kill_point}
        self._process = _context.Process(
            target=_main, args=(list(map(str, arguments)), self._log, environment, disturb), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Id of the process and of its group."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """Standard output and standard error so far."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def ended(self) -> bool:
        """True if the process has ended."""
        return not self._process.is_alive()

    def wait(self) -> int:
        """Waits for the process to end; returns its exit status, below 0 if a signal ended it."""
        self._process.join(_TIMEOUT_SECONDS)
        status = self._process.exitcode
        if status is None:
            raise TimeoutError(f"a host process takes longer than {_TIMEOUT_SECONDS:.0f} seconds:\n{self.output}")
        return status

    def wait_until(self, happened: Callable[[], bool]) -> bool:
        """Waits until `happened` returns True; returns False if the process ends before."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while not happened():
            if self.ended:
                return happened()
            if time.monotonic() > deadline:
                raise TimeoutError(f"a host process does nothing for {_TIMEOUT_SECONDS:.0f} seconds:\n{self.output}")
            time.sleep(_POLL_SECONDS)
        return True

    def send(self, number: signal.Signals, group: bool = False) -> None:
        """Sends a signal to the process, and with `group` then to its whole group, as `timeout` does."""
        os.kill(self.pid, number)
        if group:
            os.killpg(self.pid, number)

    def kill(self) -> bool:
        """Sends SIGKILL; returns True if the process was still alive."""
        self._process.kill()
        return self.wait() == SIGKILLED

    def __enter__(self) -> Self:
        """Returns the host."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kills the process and deletes its output."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._log.unlink(missing_ok=True)


def _main(arguments: list[str], log: Path, environment: dict[str, str], disturb: Callable[[], None] | None) -> None:
    """Runs the command in a new process group, its output in `log`."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    os.environ.update(environment)
    from jaxevo.cli.main import main

    if disturb is not None:
        disturb()
    sys.exit(main(arguments))
