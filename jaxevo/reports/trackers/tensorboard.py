"""Write event files for TensorBoard with tensorboardX, which needs no TensorFlow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from jaxevo.reports.trackers.tracker import Tracker

FOLDER = "tensorboard"


class TensorBoard(Tracker):
    """Event files in the folder `tensorboard` of the run, one file a session."""

    def __init__(self, workdir: Path, settings: Mapping[str, Any]) -> None:
        """Opens a new file.

        Args:
            workdir: work folder of the run.
            settings: settings of the run, by name.
        """
        self._folder = workdir / FOLDER
        sessions = len(list(self._folder.glob("events.*")))
        # Names hold the second: a session that begins in the same one would write over the file of the last.
        self._writer = SummaryWriter(str(self._folder), filename_suffix=f".{sessions}")
        if not sessions:
            self._writer.add_text("settings", _table(settings), 0)

    @property
    def place(self) -> str:
        """The place where the run is shown, in words."""
        return f"tensorboard --logdir {self._folder}"

    def scalars(self, event: int, values: Mapping[str, float]) -> None:
        """Writes numbers, at once, so that a process that is killed loses none."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, event)
        self._writer.flush()

    def picture(self, event: int, name: str, image: Image.Image) -> None:
        """Writes an image."""
        self._writer.add_image(name, np.asarray(image), event, dataformats="HWC")

    def result(self, event: int, result: Mapping[str, Any], report: Path) -> None:
        """Writes the result as a table, with the path of the report: event files hold no files."""
        self._writer.add_text("result", _table({**result, "report": report}), event)

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self._writer.close()


def _table(values: Mapping[str, Any]) -> str:
    """Returns a table in Markdown, as TensorBoard shows text."""
    rows = [f"| {name.replace('_', ' ')} | {value} |" for name, value in values.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])
