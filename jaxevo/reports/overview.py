"""A run at a glance, read from manifest and journal without telling its events again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxevo.session.limits import limits_changed
from jaxevo.session.progress import FAILED, INTERRUPTED
from jaxevo.settings import Limits
from jaxevo.storage.finish import read_finishes
from jaxevo.storage.integrity import check_manifest
from jaxevo.storage.journal import JournalContent, read_journal
from jaxevo.storage.lock import is_locked
from jaxevo.storage.manifest import read_manifest
from jaxevo.storage.workdir import Workdir


@dataclass(frozen=True)
class Overview:
    """A run at a glance.

    Attributes:
        dataset: name of the data set, without its folder.
        seed: seed of the run.
        individuals: number of trained individuals.
        best: highest validation accuracy in [0, 1]; None if no training has succeeded.
        state: "running", or how the last session ended.
    """

    dataset: str
    seed: int
    individuals: int
    best: float | None
    state: str


def read_overview(path: Path) -> Overview:
    """Returns a run at a glance.

    Raises:
        ValueError: if manifest or journal are missing or damaged; the message says what to do.
        OSError: if they cannot be read.
    """
    workdir = Workdir(path)
    settings = read_manifest(workdir).settings
    result = read_result(path)
    content = read_journal(workdir.journal, {"start", "stop"} if result else {"start", "stop", "record"})
    check_manifest(workdir, content)
    if result and content.stopped is None:
        # Of the session before one that goes on, or was killed.
        result, content = {}, read_journal(workdir.journal, {"start", "stop", "record"})
    trained = [one.outcome.accuracy for one in content.records.values() if one.outcome.failure is None]
    dataset = Path(settings.dataset)
    return Overview(
        dataset=dataset.name if dataset.is_absolute() else settings.dataset,
        seed=settings.seed,
        individuals=len(content.records) if content.stopped is None else content.stopped.events,
        best=result.get("best_validation_accuracy", max(trained, default=None)),
        state=_state(path, content, bool(result)),
    )


def read_result(path: Path) -> dict[str, Any]:
    """Returns the content of `result.json`, which a new session deletes; empty if it is missing or damaged."""
    try:
        return dict(json.loads(Workdir(path).result.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def limit_reached(path: Path, changes: Limits) -> str | None:
    """Returns the limit that a finished run has reached, None if it would go on if it were resumed.

    Args:
        path: the work folder.
        changes: limits that differ from those of the last session.

    Raises:
        ValueError: as `read_overview`.
    """
    workdir, result = Workdir(path), read_result(path)
    manifest = read_manifest(workdir)
    content = read_journal(workdir.journal, {"start", "stop"})
    check_manifest(workdir, content)
    if content.stopped is None or result.get("fingerprint") != content.stopped.fingerprint:
        return None
    limits = limits_changed(manifest, content, changes)
    finish = read_finishes(workdir, content.stopped.fingerprint).get(result["best_id"])
    tried = finish.tried_share if finish is not None else 0.0
    if manifest.trains and result["best_id"] is not None and tried < (limits.finish_share or 0.0):
        return None
    # The time of a session begins anew.
    return limits.reached(
        result["individuals"], result["total_flops"], seconds=0.0, accuracy=result["best_validation_accuracy"] or 0.0
    )


def run_folders(folder: Path) -> list[Path]:
    """Returns the folders of runs directly below a folder, or the folder itself if it is that of a run."""
    if _is_run(folder):
        return [folder]
    return [path for path in folder.iterdir() if path.is_dir() and _is_run(path)]


def _is_run(path: Path) -> bool:
    """Returns True for the folder of a run, even if a part of it is missing."""
    workdir = Workdir(path)
    try:
        return workdir.manifest.exists() or workdir.journal.exists()
    except OSError:  # A folder that may not be read.
        return False


def _state(path: Path, content: JournalContent, has_result: bool) -> str:
    if has_result and content.stopped is not None and content.stopped.reason not in (INTERRUPTED, FAILED):
        return f"finished ({content.stopped.reason})"
    if is_locked(path):
        return "running"
    if content.stopped is None:
        return "stopped (killed)" if content.sessions else "stopped before it began"
    reason = content.stopped.reason
    return f"stopped ({reason})" if reason in (INTERRUPTED, FAILED) else f"stopped ({reason}, before its result)"
