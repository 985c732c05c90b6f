"""The interface of a tracker: a tool that shows numbers, pictures and files of runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image


class Tracker(ABC):
    """A connection to a tool, open for one session of a run. Any method may raise any error.

    The x axis of everything is the number of told events, so that the next session goes on where this one stopped.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """The place where the run is shown, in words."""

    @abstractmethod
    def scalars(self, event: int, values: Mapping[str, float]) -> None:
        """Takes the numbers of an event, by name."""

    @abstractmethod
    def picture(self, event: int, name: str, image: Image.Image) -> None:
        """Takes an RGB image."""

    @abstractmethod
    def result(self, event: int, result: Mapping[str, Any], report: Path) -> None:
        """Takes the result of the run and its report, an HTML file."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is left."""
