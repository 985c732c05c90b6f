"""Carry out a job in this process, or in a child process if JAX already runs here with other settings.

The child is a new process, never a fork, because JAX's threads do not survive a fork. It reads the job from a file and
writes its answer to another. This process prints the child's output, because a notebook would not show it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from jaxevo.environment import prepare_process
from jaxevo.reports.jobs import Job, Stopped, job_from_json, job_to_json
from jaxevo.signals import INTERRUPTED_STATUS, stoppable

_ERRORS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError, "RuntimeError": RuntimeError}
"""The exception types that a child's answer may name."""


def carry_out(job: Job) -> Any:
    """Carries out a job and returns what it returns.

    Raises:
        ValueError: if a setting, folder or data set is not valid.
        RuntimeError: if a training could not be carried out.
        Stopped: if a signal stopped the job.
    """
    try:
        if prepare_process(job.execution, job.beside_others):
            return job.carry_out()
        return _in_child(job)
    except Stopped:
        raise
    except KeyboardInterrupt as error:  # Before the first training, or a second one that cuts the clean end short.
        raise job.stopped() from error


def _in_child(job: Job) -> Any:
    with tempfile.TemporaryDirectory(prefix="jaxevo-") as folder:
        request, answer = Path(folder) / "job.json", Path(folder) / "answer.json"
        request.write_text(json.dumps(job_to_json(job)))
        status = _run([sys.executable, "-m", "jaxevo.reports.child", str(request), str(answer)])
        found = json.loads(answer.read_text()) if answer.exists() else None
    if found is None:
        raise RuntimeError(f"the process that trained ended without an answer ({_reason(status)}): see its output")
    if "stopped" in found:
        raise Stopped(found["stopped"])
    if "error" in found:
        raise _ERRORS[found["error"]](found["sentence"])
    return found["value"]


def _run(command: list[str]) -> int:
    """Runs a command, prints its output as it arrives, and returns its exit status. Passes an interrupt on to it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                print(line, end="", flush=True)
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            print(child.stdout.read(), end="", flush=True)
    return child.returncode


def _reason(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _answer(job: Job) -> tuple[dict[str, Any], bool]:
    """Carries out a job; returns its answer, and True if a thread still compiles."""
    try:
        return {"value": carry_out(job)}, False
    except Stopped as stopped:
        return {"stopped": str(stopped)}, stopped.busy
    except tuple(_ERRORS.values()) as error:
        name = next(name for name, kind in _ERRORS.items() if isinstance(error, kind))
        return {"error": name, "sentence": str(error)}, False
    except Exception as error:
        traceback.print_exc()
        return {"error": "RuntimeError", "sentence": f"{type(error).__name__}: {error}"}, False


def main() -> int:
    """Carries out the job in the file of the first argument and writes the answer to the second."""
    request, answer = map(Path, sys.argv[1:])
    with stoppable():
        found, busy = _answer(job_from_json(json.loads(request.read_text())))
        answer.write_text(json.dumps(found))
    if busy:
        sys.stdout.flush()
        os._exit(INTERRUPTED_STATUS)  # Nothing can interrupt a compilation, and the user must not wait for it.
    return 0


if __name__ == "__main__":
    sys.exit(main())
