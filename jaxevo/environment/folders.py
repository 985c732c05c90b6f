"""The cache folder, whose content only saves time."""

import os
import shutil
import tempfile
from pathlib import Path

_NOWHERE = Path(os.devnull, "jaxevo")
"""The cache folder of a user without a home: below a file, so that reading and writing fail as in any bad folder."""

_LEAST_BYTES = 200_000_000


def cache_dir() -> Path:
    """Returns `$JAXEVO_CACHE_DIR`, else `$XDG_CACHE_HOME/jaxevo`, else `~/.cache/jaxevo`; it may not exist yet.

    Without any of them, and if the home is unknown, it is a path that cannot be used.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        if own := os.environ.get("JAXEVO_CACHE_DIR"):
            return Path(own).expanduser()
        return (Path(base).expanduser() if base else Path.home() / ".cache") / "jaxevo"
    except RuntimeError:
        return _NOWHERE


def cache_problem() -> str | None:
    """Returns a sentence if the cache folder cannot be used, which costs time only; None if it can."""
    folder = cache_dir()
    if folder == _NOWHERE:
        return "the user has no home folder, so nothing is cached, and every start compiles anew: set JAXEVO_CACHE_DIR"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if free >= _LEAST_BYTES:
            return None
        reason = f"{free / 1e6:.0f} MB are free"
    return (
        f"the cache folder {folder} cannot be used ({reason}), so every start compiles anew: set JAXEVO_CACHE_DIR to "
        "another one"
    )
