"""All parts, one after the other, each measured by a process of its own; what they measured, in one document.

This process does not load JAX, so that a device is never held by two, and interrupting it waits for no compilation.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol, TextIO

from jaxevo.bench import ladder
from jaxevo.bench.extent import Extent
from jaxevo.bench.part import Request
from jaxevo.bench.timing import spread
from jaxevo.signals import wish_to_stop

SCHEMA_VERSION = 1
"""Of the document; it changes with the name, unit or meaning of anything in it."""

_POLL_SECONDS = 0.1
# Of what a part that ended without an answer wrote to standard error.
_LAST_LINES = 3


class Listener(Protocol):
    """Whoever watches."""

    def said(self, part: str, text: str) -> None:
        """Takes what is being measured."""

    def measured(self, part: str, document: dict[str, Any]) -> None:
        """Takes the document, to which the part was added."""


class Suite:
    """Measures an extent."""

    def __init__(self, extent: Extent, lanes: int | None, listener: Listener) -> None:
        """Measures nothing yet.

        Args:
            extent: how much to measure.
            lanes: that evolve, and the most to measure; None for as many as a run would have.
            listener: is told how far it is.
        """
        self._extent = extent
        self._lanes = lanes
        self._listener = listener
        self._failed: list[str] = []

    def run(self) -> dict[str, Any]:
        """Returns the document: JSON values by part. One that failed is named in `failed`, and says why itself.

        Raises:
            KeyboardInterrupt: when a signal came.
            RuntimeError: if not even the device could be measured.
        """
        began = time.monotonic()
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "extent": dataclasses.asdict(self._extent),
            "settings": {"ladder": dataclasses.asdict(ladder.settings())},
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        with tempfile.TemporaryDirectory(prefix="jaxevo-bench-") as folder, wish_to_stop() as interrupted:
            self._caches, self._interrupted = Path(folder), interrupted
            device = self._measure("device", "executables")
            if "not_measured" in device:
                raise RuntimeError(f"the device could not be measured: {device['not_measured']}")
            document["machine"] = device["machine"]
            self._add(document, "device", device["speed"])
            peak = device["speed"]["products"][0]["flops_per_second"]["median"]
            self._add(document, "ladder", self._measure("ladder", "executables", peak_flops=peak))
            self._add(document, "evolution", self._evolution(document["settings"]))
            # Programs of the ladder are there already.
            self._add(document, "lanes", self._measure("lanes", "executables"))
            self._add(document, "devices", self._measure("devices", "executables"))
        document["failed"] = self._failed
        document["wall_seconds"] = time.monotonic() - began
        return document

    def _add(self, document: dict[str, Any], part: str, measured: Any) -> None:
        document[part] = measured
        self._listener.measured(part, document)

    def _evolution(self, settings: dict[str, Any]) -> Any:
        """Evolves several times, each time with an empty cache, and joins what was measured; notes the settings."""
        evolved = []
        for number in range(1, self._extent.evolution_repeats + 1):
            before = f"{number} of {self._extent.evolution_repeats}: "
            measured = self._measure("evolution", f"evolution-{number}", before)
            if "not_measured" in measured:
                return measured
            settings["evolution"] = measured["settings"]
            evolved.append(measured["evolved"])
        joined = {name: [one[name] for one in evolved] for name in evolved[0]}
        # Counts are the same every time.
        return {
            name: values[0] if isinstance(values[0], int) else dataclasses.asdict(spread(values))
            for name, values in joined.items()
        }

    def _measure(self, part: str, cache: str, before: str = "", peak_flops: float | None = None) -> Any:
        """Returns what a process of its own measured, or why it could not.

        Args:
            part: to be measured.
            cache: name of the folder of its executables.
            before: put before everything that it says.
            peak_flops: of the device, where it is known.
        """
        request = Request(part, self._extent, self._lanes, peak_flops)
        self._listener.said(part, f"{before}starting")
        errors = self._caches / "stderr"
        with errors.open("w", encoding="utf-8") as file, _lines(request, self._caches / cache, file) as lines:
            for message in self._messages(lines):
                if "said" in message:
                    self._listener.said(part, before + message["said"])
                else:
                    return message["result"] if "result" in message else self._failure(part, message["error"])
        last = " ".join(errors.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
        return self._failure(part, f"its process ended without an answer: {last}")

    def _failure(self, part: str, sentence: str) -> dict[str, Any]:
        self._failed.append(part)
        return {"not_measured": sentence}

    def _messages(self, lines: "queue.SimpleQueue[str | None]") -> Iterator[dict[str, Any]]:
        """Yields what a process says until its output ends; raises `KeyboardInterrupt` when a signal comes."""
        line: str | None = ""
        while line is not None:
            # Before a message is believed: from a terminal, the process may have got the signal too.
            if self._interrupted():
                raise KeyboardInterrupt
            if line:
                yield json.loads(line)
            try:
                line = lines.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                line = ""
        if self._interrupted():
            raise KeyboardInterrupt


@contextlib.contextmanager
def _lines(request: Request, cache: Path, errors: TextIO) -> Iterator["queue.SimpleQueue[str | None]"]:
    """Starts the process of a request, and kills it in the end: there is nothing that it would have to keep.

    Args:
        request: what it is to measure.
        cache: folder that it has for its caches.
        errors: takes its standard error.

    Yields:
        The lines that it writes, as they come, and None after the last one.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxevo.bench.part"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "JAXEVO_CACHE_DIR": str(cache)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    reader = threading.Thread(target=_read_lines, args=(process.stdout, lines.put), daemon=True)
    reader.start()
    try:
        with contextlib.suppress(BrokenPipeError):  # It has ended already, which its missing answer tells.
            process.stdin.write(json.dumps(dataclasses.asdict(request)) + "\n")
            process.stdin.flush()
        yield lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _read_lines(stream: IO[str], put: Callable[[str | None], None]) -> None:
    for line in stream:
        put(line)
    put(None)
