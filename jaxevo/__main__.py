"""Entry point of `jaxevo` and `python -m jaxevo`."""

import sys

from jaxevo.signals import INTERRUPTED_STATUS, stoppable


def main() -> int:
    """Runs the command line, which signals may stop even while it is imported; returns the exit status."""
    with stoppable():
        try:
            from jaxevo.cli.main import main as command_line
        except KeyboardInterrupt:
            return INTERRUPTED_STATUS
        return command_line()


if __name__ == "__main__":
    sys.exit(main())
