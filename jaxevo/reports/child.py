"""Carries out a job: in this process, or in a child process if JAX runs here with other settings than a run needs.

The child is started anew, never forked: JAX's threads do not survive a fork. It reads its job from a file and leaves
its answer in another. What it prints is printed here, because a notebook does not show the output of a child.
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
"""What a child's error is raised as."""


def carry_out(job: Job) -> Any:
    """Carries out a job and returns what it returns.

    Raises:
        ValueError: with a sentence, for a user's error.
        RuntimeError: if a training could not be carried out.
        Stopped: if a signal stopped it.
    """
    try:
        if prepare_process(job.execution):
            return job.carry_out()
        return _in_child(job)
    except Stopped:
        raise
    except KeyboardInterrupt as error:  # Before the first training, or of a user who does not wait for a clean end.
        raise job.stopped() from error


def _in_child(job: Job) -> Any:
    with tempfile.TemporaryDirectory(prefix="jaxevo-") as folder:
        request, answer = Path(folder) / "job.json", Path(folder) / "answer.json"
        request.write_text(json.dumps(job_to_json(job)))
        status = _run([sys.executable, "-m", "jaxevo.reports.child", str(request), str(answer)])
        found = json.loads(answer.read_text()) if answer.exists() else None
    if found is None:
        raise RuntimeError(f"the process that trained ended without an answer ({_reason(status)}): see what it printed")
    if "stopped" in found:
        raise Stopped(found["stopped"])
    if "error" in found:
        raise _ERRORS[found["error"]](found["sentence"])
    return found["value"]


def _run(command: list[str]) -> int:
    """Runs a command, prints its output as it comes, and returns its status. A signal is handed on to it."""
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
    """Carries out a job; returns its answer, and whether a thread still compiles."""
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
    """Carries out the job in the file that is the first argument, and writes the answer into the second."""
    request, answer = map(Path, sys.argv[1:])
    with stoppable():
        found, busy = _answer(job_from_json(json.loads(request.read_text())))
        answer.write_text(json.dumps(found))
    if busy:
        sys.stdout.flush()
        os._exit(INTERRUPTED_STATUS)  # Nothing can interrupt a compilation, and a signal is not to wait for it.
    return 0


if __name__ == "__main__":
    sys.exit(main())
