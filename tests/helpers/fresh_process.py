"""Scripts in processes that inherit nothing of how this one was prepared."""

import os
import subprocess
import sys
import textwrap

_UNSET = ("NPROC", "XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL")


def run_fresh(script: str, timeout: float = 120, **environment: str) -> list[str]:
    """Runs a script in a process of its own; returns the words that it prints."""
    inherited = {name: value for name, value in os.environ.items() if name not in _UNSET}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**inherited, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
