"""How an experiment's program begins and ends."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from jaxevo.environment import prepare_process
from jaxevo.settings import Execution
from jaxevo.signals import INTERRUPTED_STATUS


def program(module: str, about: str | None) -> argparse.ArgumentParser:
    """Returns the parser of a program, `python -m MODULE`, whose help shows a docstring as it is written."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Ends the process with what `main` returns, 130 on Ctrl-C, or the sentence of a user's error."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)
    except ValueError as error:
        sys.exit(f"error: {error}")


def prepare(execution: Execution | None = None) -> None:
    """Has JAX start in this process as a run needs it; raises `RuntimeError` where it was loaded before."""
    if not prepare_process(execution):
        raise RuntimeError("JAX was loaded before its settings were made: what is measured would be no run's")
