"""Measure all parts in turn, each in a process of its own, and collect the results in one document.

This process does not load JAX, so that no device is held by two processes, and an interrupt need not wait for a
compilation.
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

SCHEMA_VERSION = 2
"""The version of the document; it changes with the name, unit or meaning of any field."""

_POLL_SECONDS = 0.1
# Lines of standard error to show of a part that ended without an answer.
_LAST_LINES = 3


class Listener(Protocol):
    """A receiver of progress."""

    def said(self, part: str, text: str) -> None:
        """Receives the current step of a part."""

    def measured(self, part: str, document: dict[str, Any]) -> None:
        """Receives the document after a part was added."""


class Suite:
    """A benchmark of all parts."""

    def __init__(self, extent: Extent, lanes: int | None, listener: Listener) -> None:
        """Prepares a benchmark; measures nothing yet.

        Args:
            extent: extent of the benchmark.
            lanes: lanes of the evolution, and most lanes to measure; None for the defaults.
            listener: receives the progress.
        """
        self._extent = extent
        self._lanes = lanes
        self._listener = listener
        self._failed: list[str] = []
        self._peaks: dict[str, dict[str, Any]] = {}

    def run(self) -> dict[str, Any]:
        """Measures all parts and returns the document of JSON values by part.

        Parts that failed are listed in `failed`, and give the reason themselves.

        Raises:
            KeyboardInterrupt: after a signal.
            RuntimeError: if the device could not be measured.
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
            self._add(document, "batches", self._measure("batches", "executables", peak_flops=peak))
            self._add(document, "compiling", self._measure("compiling", "compiling"))
            self._add(document, "evolution", self._evolution(document["settings"]))
            # With the programs of the ladder in the cache.
            self._add(document, "lanes", self._measure("lanes", "executables"))
            self._add(document, "devices", self._measure("devices", "executables"))
            self._add(document, "memory", self._memory())
        document["failed"] = self._failed
        document["wall_seconds"] = time.monotonic() - began
        return document

    def _add(self, document: dict[str, Any], part: str, measured: Any) -> None:
        document[part] = measured
        self._listener.measured(part, document)

    def _evolution(self, settings: dict[str, Any]) -> Any:
        """Evolves several times, each time with an empty cache, and joins the results; adds to the settings."""
        evolved = []
        for number in range(1, self._extent.evolution_repeats + 1):
            before = f"{number} of {self._extent.evolution_repeats}: "
            measured = self._measure("evolution", f"evolution-{number}", before)
            if "not_measured" in measured:
                return measured
            settings["evolution"] = measured["settings"]
            evolved.append(measured["evolved"])
        joined = {name: [one[name] for one in evolved] for name in evolved[0]}
        # Counts are equal every time.
        return {
            name: values[0] if isinstance(values[0], int) else dataclasses.asdict(spread(values))
            for name, values in joined.items()
        }

    def _memory(self) -> Any:
        """Returns the high-water mark of each part's process; of several processes of a part, the highest."""
        if not self._peaks:
            return {"not_measured": "no part was measured"}
        return [{"part": part, **peak} for part, peak in self._peaks.items()]

    def _note_memory(self, part: str, memory: dict[str, Any]) -> None:
        before = self._peaks.get(part, memory)
        self._peaks[part] = max(before, memory, key=lambda one: one["peak_bytes"])

    def _measure(self, part: str, cache: str, before: str = "", peak_flops: float | None = None) -> Any:
        """Measures a part in a process of its own; returns the result, or why it was not measured.

        Args:
            part: name of the part.
            cache: name of the folder of its cache of executables.
            before: prefix of its progress texts.
            peak_flops: peak FLOPs per second of the device, if known.
        """
        request = Request(part, self._extent, self._lanes, peak_flops)
        self._listener.said(part, f"{before}starting")
        errors = self._caches / "stderr"
        with errors.open("w", encoding="utf-8") as file, _lines(request, self._caches / cache, file) as lines:
            for message in self._messages(lines):
                if "said" in message:
                    self._listener.said(part, before + message["said"])
                elif "error" in message:
                    return self._failure(part, message["error"])
                else:
                    self._note_memory(part, message["memory"])
                    return message["result"]
        last = " ".join(errors.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
        return self._failure(part, f"its process ended without an answer: {last}")

    def _failure(self, part: str, sentence: str) -> dict[str, Any]:
        self._failed.append(part)
        return {"not_measured": sentence}

    def _messages(self, lines: "queue.SimpleQueue[str | None]") -> Iterator[dict[str, Any]]:
        """Yields the messages of a process until its output ends; raises `KeyboardInterrupt` after a signal."""
        line: str | None = ""
        while line is not None:
            # Check before using a message: the terminal may have sent the signal to that process too.
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
    """Starts the process of a request, and kills it in the end, because it has nothing to save.

    Args:
        request: the request.
        cache: folder for its caches.
        errors: file for its standard error.

    Yields:
        A queue of the lines that it writes, and None after the last one.
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
        with contextlib.suppress(BrokenPipeError):  # It has ended already; the missing answer is handled later.
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
