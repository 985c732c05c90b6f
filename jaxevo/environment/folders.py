"""The cache folder, whose content only saves time."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Returns `$JAXEVO_CACHE_DIR`, else `$XDG_CACHE_HOME/jaxevo`, else `~/.cache/jaxevo`; it may not exist yet."""
    if own := os.environ.get("JAXEVO_CACHE_DIR"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "jaxevo"
