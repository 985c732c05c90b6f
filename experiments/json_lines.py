"""Files of JSON lines to which finished rows are appended, one at a time."""

import json
import os
from pathlib import Path
from typing import Any


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Appends a row, and makes the file if there is none; a last line that a kill cut off goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        os.truncate(path, before.rfind(b"\n") + 1)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
