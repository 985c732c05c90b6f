"""Force files and folders to disk, so that a power cut cannot lose them.

A file that was written, closed and renamed may still be lost or empty after a power cut. Its content and its entry in
the folder must both be forced to disk.
"""

import json
import os
from pathlib import Path
from typing import Any


def force(path: str | Path) -> None:
    """Forces the content of a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def force_tree(path: Path) -> None:
    """Forces a folder to disk: everything in it, and its entry in the parent folder."""
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            force(os.path.join(folder, name))
        force(folder)
    force(path.parent)


def write_json(path: Path, content: dict[str, Any] | list[Any]) -> None:
    """Writes a JSON file atomically: a reader sees either the old file or the complete new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    force(path.absolute().parent)
