"""Tiny runs for tests, in this process or in one of their own."""

import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from jaxevo.session.progress import Watcher
from jaxevo.session.run import Ended, resume_run, start_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.manifest import manifest_sha256
from jaxevo.storage.workdir import Workdir

TINY = {
    "dataset": "digits",
    "seed": 3,
    "population_size": 6,
    "num_workers": 3,
    "birth_overhead": 1.0,
    "compile_overhead": 0.0,
    "virtual_rate": 2e9,
    "selection": "tournament",
    "train_steps": 6,
    "batch_size": 20,
}
"""Settings of a run whose individuals train for an instant."""
SNAPSHOT_INTERVAL = 4
SIGKILLED = -signal.SIGKILL


def start(
    path: Path,
    max_individuals: int,
    lanes: int = 2,
    watcher: Watcher | None = None,
    devices_per_lane: int = 1,
    **changes: object,
) -> Ended:
    settings = Settings(**{**TINY, **changes})  # type: ignore[arg-type]
    execution = Execution(lanes, devices_per_lane, snapshot_interval=SNAPSHOT_INTERVAL)
    return start_run(path, settings, Limits(max_individuals=max_individuals), execution, watcher or Watcher())


def resume(path: Path, max_individuals: int | None = None, lanes: int = 2, watcher: Watcher | None = None) -> Ended:
    execution = Execution(lanes, snapshot_interval=SNAPSHOT_INTERVAL)
    return resume_run(path, Limits(max_individuals=max_individuals), execution, watcher or Watcher())


def run_arguments(path: Path, max_individuals: int, **changes: object) -> list[str]:
    """Returns the command line, without its program, that begins a tiny run on two lanes."""
    flags = {"workdir": path, "max_individuals": max_individuals, "lanes": 2, "snapshot_interval": SNAPSHOT_INTERVAL}
    # The preset whose other settings are those of `Settings`, as in `start`.
    return ["run", "--preset", "paper", *flag_texts({**TINY, **flags, **changes})]


def flag_texts(flags: dict[str, object]) -> list[str]:
    return [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "jaxevo", *map(str, arguments)]


def jaxevo(*arguments: object, kill_point: str | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    environment = {**os.environ, **({} if kill_point is None else {"JAXEVO_KILL_POINT": kill_point})}
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def rewrite_journal(path: Path, change: Callable[[list[dict]], None]) -> None:
    """Changes the lines of a run's journal, with checksums that agree."""
    file = path / "journal.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for fields in lines:
        del fields["checksum"]
    change(lines)
    texts = map(json.dumps, lines)
    file.write_text("".join(f'{text[:-1]}, "checksum": {zlib.crc32(text.encode())}}}\n' for text in texts))


def rewrite_manifest(path: Path, change: Callable[[dict], None]) -> None:
    """Changes a run's manifest, and its hash in the journal, so that they agree."""
    workdir = Workdir(path)
    fields = json.loads(workdir.manifest.read_text())
    change(fields)
    workdir.manifest.write_text(json.dumps(fields))

    def rehash(lines: list[dict]) -> None:
        for line in lines:
            if line["kind"] == "start":
                line["manifest_sha256"] = manifest_sha256(workdir)

    rewrite_journal(path, rehash)


def journal_lines(path: Path, kind: str) -> list[dict]:
    """Returns the lines of a kind in a run's journal, without a last one that is being written."""
    lines = [line for line in (path / "journal.jsonl").read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def without_stop(path: Path) -> None:
    """Makes a run look as if its last session had been killed."""

    def change(lines):
        lines[:] = [line for line in lines if line["kind"] != "stop"]

    rewrite_journal(path, change)


def trained_elsewhere(path: Path, session: int) -> None:
    """Makes a session look as if another machine had trained in it."""

    def change(lines):
        for fields in lines:
            if fields["kind"] == "start" and fields["number"] == session:
                fields["machine"]["packages"]["jax"] = "0.0.1"

    rewrite_journal(path, change)


def began_elsewhere(path: Path) -> None:
    """Makes a run look as if another machine had begun it."""
    rewrite_manifest(path, lambda fields: fields["machine"]["packages"].update(jax="0.0.1"))
    trained_elsewhere(path, 1)
