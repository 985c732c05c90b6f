"""Starts JAX as a run needs it, before any test imports it, and keeps caches away from the user's."""

import os
import tempfile
from pathlib import Path

import pytest
from helpers.ray_cluster import ENVIRONMENT

from jaxevo.environment import prepare_process

# Shared by all test processes, so that no executable is compiled twice in a test session.
os.environ.setdefault("JAXEVO_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"jaxevo-tests-{os.getuid()}"))
prepare_process()
# With these, rich would write colours where no terminal is.
for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)
# Ray reads some of it when it is imported.
os.environ.update(ENVIRONMENT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files with slow tests first, so that no core is left with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
