"""The beginning and the end of every program here."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from jaxevo.environment import prepare_process
from jaxevo.settings import Execution
from jaxevo.signals import INTERRUPTED_STATUS


def program(module: str, about: str | None) -> argparse.ArgumentParser:
    """Returns the argument parser of `python -m MODULE`; its help shows `about` with its line breaks."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Exits with what `main` returns, with 130 on Ctrl-C, or with the message of an error that says what to do."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")


def prepare_cpu(execution: Execution | None = None) -> None:
    """Prepares this process as `prepare` does, and keeps JAX on the CPU: a measurement counts seconds of cores."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    prepare(execution)


def prepare(execution: Execution | None = None) -> None:
    """Prepares this process for JAX as a run does; raises `RuntimeError` if JAX was loaded before."""
    if not prepare_process(execution):
        raise RuntimeError("JAX was loaded before it was configured: the measurement would not be that of a run")
