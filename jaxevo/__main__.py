"""Entry point of `jaxevo` and `python -m jaxevo`."""

import sys

from jaxevo import WINDOWS_SENTENCE


def main() -> int:
    """Runs the command line, which signals may stop even while it is imported; returns the exit status."""
    if sys.platform == "win32":
        print(f"jaxevo: error: {WINDOWS_SENTENCE}", file=sys.stderr)
        return 2
    from jaxevo.signals import INTERRUPTED_STATUS, stoppable

    with stoppable():
        try:
            from jaxevo.cli.main import main as command_line
            from jaxevo.execution.leaving import leave
        except KeyboardInterrupt:
            return INTERRUPTED_STATUS
        status = command_line()
        leave(status)
        return status


if __name__ == "__main__":
    sys.exit(main())
