"""Log to Weights & Biases, online or, with `WANDB_MODE=offline`, to a folder."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from PIL import Image

from jaxevo.reports.trackers.tracker import Tracker
from jaxevo.storage.workdir import Workdir

_EVENT = "event"


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases, the same one in every session; wandb's files are in the work folder.

    The environment variables of wandb hold, such as `WANDB_PROJECT` (by default jaxevo) and `WANDB_MODE`.
    """

    def __init__(self, workdir: Path, settings: Mapping[str, Any]) -> None:
        """Begins the run, or goes on with it.

        Args:
            workdir: work folder of the run.
            settings: settings of the run, by name.
        """
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "jaxevo"),
            name=workdir.name,
            id=run_id(workdir),
            resume="allow",
            dir=str(workdir),
            config=dict(settings),
            # The output belongs to the command line.
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("*", step_metric=_EVENT)

    @property
    def place(self) -> str:
        """The place where the run is shown, in words."""
        if self._run.offline:
            return f"wandb sync {Path(self._run.dir).parent}, once it has ended"
        return self._run.url or self._run.id

    def scalars(self, event: int, values: Mapping[str, float]) -> None:
        """Logs numbers."""
        self._run.log({_EVENT: event, **values}, step=event)

    def picture(self, event: int, name: str, image: Image.Image) -> None:
        """Logs an image."""
        self._run.log({_EVENT: event, name: wandb.Image(image)}, step=event)

    def result(self, event: int, result: Mapping[str, Any], report: Path) -> None:
        """Sets the result as the run's summary, and logs the report as an artifact."""
        self._run.summary.update(dict(result))
        artifact = wandb.Artifact(f"report-{self._run.id}", type="report", metadata={_EVENT: event})
        artifact.add_file(str(report))
        self._run.log_artifact(artifact)

    def close(self) -> None:
        """Waits until everything is uploaded or written."""
        self._run.finish()


def run_id(workdir: Path) -> str:
    """Returns an id that belongs to a work folder: the hash of the first record, which has the time of its start."""
    with Workdir(workdir).journal.open("rb") as journal:
        return hashlib.sha256(journal.readline()).hexdigest()[:16]
