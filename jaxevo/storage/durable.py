"""Forcing to disk what a power cut must not take.

A file that was written, closed and renamed may still be lost or empty after one: its content, and the folder's entry
that names it, each have to be forced.
"""

import os
from pathlib import Path


def force(path: str | Path) -> None:
    """Returns once the content of a file, or the entries of a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def force_tree(path: Path) -> None:
    """Returns once a folder is on disk with all that is in it, and its own entry."""
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            force(os.path.join(folder, name))
        force(folder)
    force(path.parent)
