"""Cache of decoded arrays in the user's cache folder. Losing it costs only time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxevo.environment.folders import cache_dir

_KEY = "key"


def data_entry(name: str, identity: str) -> Path:
    """Returns the cache file of a data set; the name is for people, the identity tells sets of one name apart."""
    place = hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]
    return cache_dir() / "data" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)[:80]}-{place}.npz"


def read_arrays(path: Path, is_current: Callable[[Any], bool]) -> dict[str, np.ndarray] | None:
    """Returns cached arrays, or None if they must be made again.

    Args:
        path: of a file written by `write_arrays`.
        is_current: returns True if the key stored with the arrays still describes their source.

    Returns:
        The arrays by name; None if the file is missing, torn (by its checksums), foreign or not current.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not is_current(json.loads(str(archive[_KEY]))):
                return None
            return {name: archive[name] for name in archive.files if name != _KEY}
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ):
        return None


def write_arrays(path: Path, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays and a JSON key; a reader sees the old file or the whole new one, never a part.

    Raises:
        OSError: if the folder cannot be written to or is full. No partial file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **{_KEY: np.array(json.dumps(key))}, **arrays)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def try_to_write(path: Path, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes as `write_arrays` does, or leaves it: a session says once if the cache folder cannot be written."""
    with contextlib.suppress(OSError):
        write_arrays(path, key, arrays)
