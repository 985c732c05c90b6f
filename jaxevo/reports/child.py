"""Carry out a job in this process, or in a child process if JAX already runs here with other settings.

The child is a new process, never a fork, because JAX's threads do not survive a fork. It reads the job from a file and
writes its answer to another. This process prints the child's output, because a notebook would not show it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxevo.environment import prepare_process
from jaxevo.environment.probe import module_path
from jaxevo.execution.leaving import leave
from jaxevo.reports.jobs import Job, Stopped, job_from_json, job_to_json
from jaxevo.signals import stoppable

if TYPE_CHECKING:
    from jaxevo.session.events import Event, OnEvent

_ERRORS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError, "RuntimeError": RuntimeError}
"""The exception types that a child's answer may name."""


def carry_out(job: Job, on_event: "OnEvent | None" = None, *, is_child: bool = False) -> Any:
    """Carries out a job and returns what it returns.

    Args:
        job: to carry out.
        on_event: receives every told event, in this process; may return "stop" to end the session. An error in it ends
            the session cleanly, so that the run can be resumed, and is raised.
        is_child: True in a process that was started for the job, which starts no other one.

    Raises:
        ValueError: if a setting, folder or data set is not valid.
        RuntimeError: if a training could not be carried out.
        Stopped: if a signal stopped the job.
    """
    try:
        if prepare_process(job.execution, job.beside_others):
            return job.carry_out(on_event)
        if is_child:
            raise RuntimeError(
                "JAX is loaded before jaxevo in every process of this Python, with settings under which runs are not "
                "reproducible: remove what imports it at the start, such as sitecustomize or a .pth file"
            )
        return _in_child(job, on_event)
    except Stopped:
        raise
    except KeyboardInterrupt as error:  # Before the first training, or a second one that cuts the clean end short.
        raise job.stopped() from error


def _in_child(job: Job, on_event: "OnEvent | None") -> Any:
    with tempfile.TemporaryDirectory(prefix="jaxevo-") as folder:
        request, answer = Path(folder) / "job.json", Path(folder) / "answer.json"
        request.write_text(json.dumps(job_to_json(job)))
        command = [sys.executable, "-m", "jaxevo.reports.child", str(request), str(answer)]
        status = _run(command) if on_event is None else _run_answering(command, on_event)
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
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": module_path()},
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                print(line, end="", flush=True)
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            print(child.stdout.read(), end="", flush=True)
    return child.returncode


def _run_answering(command: list[str], on_event: "OnEvent") -> int:
    """Runs a command as `_run` does, and answers its events, which come through a pipe, in this thread.

    Raises:
        Exception: the error of `on_event`, once the child has ended its session.
    """
    from jaxevo.session.events import Event

    (events, child_events), (child_answers, answers) = os.pipe(), os.pipe()
    pipes = [str(child_events), str(child_answers)]
    errors: list[Exception] = []
    with subprocess.Popen(
        [*command, *pipes],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": module_path()},
        pass_fds=(child_events, child_answers),
    ) as child:
        os.close(child_events)
        os.close(child_answers)
        assert child.stdout is not None
        printing = threading.Thread(target=_print_all, args=(child.stdout,), daemon=True)
        printing.start()
        with open(events, encoding="utf-8") as told, open(answers, "w", encoding="utf-8") as answered:
            while True:
                try:
                    line = told.readline()
                except KeyboardInterrupt:
                    child.send_signal(signal.SIGINT)
                    continue
                if not line:
                    break
                text = "[false, null]"
                try:
                    # The child refuses all but two answers, and shows them.
                    text = json.dumps([False, on_event(Event(**json.loads(line)))], default=repr)
                except KeyboardInterrupt:
                    # The child waits for an answer all the same.
                    child.send_signal(signal.SIGINT)
                except Exception as error:
                    errors.append(error)
                    text = "[true, null]"
                with contextlib.suppress(BrokenPipeError):
                    print(text, file=answered, flush=True)
        printing.join()
    if errors:
        raise errors[0]
    return child.returncode


def _print_all(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, end="", flush=True)


def _asking(events: int, answers: int) -> "OnEvent":
    """Returns, in the child, a function that has its parent answer an event; see `_run_answering`."""
    told, answered = os.fdopen(events, "w", encoding="utf-8"), os.fdopen(answers, encoding="utf-8")

    def ask(event: "Event") -> Any:
        print(json.dumps(vars(event)), file=told, flush=True)
        failed, answer = json.loads(answered.readline())
        if failed:
            raise RuntimeError("on_event raised an error")
        return answer

    return ask


def _reason(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _answer(job: Job, on_event: "OnEvent | None") -> dict[str, Any]:
    """Carries out a job and returns its answer."""
    try:
        return {"value": carry_out(job, on_event, is_child=True)}
    except Stopped as stopped:
        return {"stopped": str(stopped)}
    except tuple(_ERRORS.values()) as error:
        name = next(name for name, kind in _ERRORS.items() if isinstance(error, kind))
        return {"error": name, "sentence": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"error": "RuntimeError", "sentence": f"{type(error).__name__}: {error}"}


def main() -> int:
    """Carries out the job in the file of the first argument and writes the answer to the second."""
    request, answer, *pipes = sys.argv[1:]
    on_event = _asking(*map(int, pipes)) if pipes else None
    with stoppable():
        found = _answer(job_from_json(json.loads(Path(request).read_text())), on_event)
        Path(answer).write_text(json.dumps(found))
    leave(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
