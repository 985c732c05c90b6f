"""A process ends at once although a thread still compiles, with the exit status that it would have had."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, threading
from jaxevo.execution.leaving import leave, leave_running

atexit.register(print, "hooks ran")
done = threading.Event()
thread = threading.Thread(target=done.wait, daemon=True)
thread.start()
{before}
leave_running([thread])
{after}
"""


def ended(before: str, after: str) -> tuple[int, bool]:
    """Returns the exit status of a program, and whether it ran the hooks of its end."""
    program = [sys.executable, "-c", PROGRAM.format(before=before, after=after)]
    found = subprocess.run(program, capture_output=True, text=True, timeout=60)
    return found.returncode, "hooks ran" in found.stdout


@pytest.mark.parametrize(
    ("after", "status"),
    [("", 0), ("raise ValueError", 1), ("raise KeyboardInterrupt", 130), ("leave(2)", 2)],
)
def test_a_running_thread_is_left_with_the_status_of_the_program(after, status):
    assert ended("", after) == (status, False)


@pytest.mark.parametrize(("before", "after"), [("done.set(); thread.join()", ""), ("", "done.set(); thread.join()")])
def test_a_thread_that_has_ended_changes_nothing(before, after):
    assert ended(before, f"{after}; leave(2); sys.exit(3)".removeprefix("; ")) == (3, True)
