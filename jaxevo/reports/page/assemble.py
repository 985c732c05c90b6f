"""Put markup, style, scripts and data together into one HTML file that needs no network."""

import base64
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

_ASSETS = resources.files("jaxevo.reports.page") / "assets"
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
# Text that would end a script, begin a comment or a tag, or break a line in older scripts, as escapes of JSON.
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def assemble(page: str, scripts: Iterable[str], data: Mapping[str, Any], title: str) -> str:
    """Returns a page as HTML.

    Its content security policy allows the page's own style and script, by their hashes, and nothing else.

    Args:
        page: name of the markup in the assets, from the body on.
        scripts: names of the scripts, in order; they share one scope.
        data: what the scripts draw; JSON values.
        title: of the page until its script sets one.
    """
    style = _asset("style.css")
    script = '"use strict";\n' + "\n".join(map(_asset, scripts))
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; base-uri 'none'; "
        "form-action 'none'"
    )
    parts = {"policy": policy, "title": _text(title), "style": style, "data": _json(data), "script": script}
    return _PLACEHOLDER.sub(lambda found: parts[found[1]], _asset("head.html") + _asset(page))


def write_page(path: Path, html: str) -> None:
    """Writes a page in one step: a browser sees the old file or the new one.

    Raises:
        ValueError: if the file cannot be written.
    """
    # Names of folders need not be UTF-8.
    content = html.encode("utf-8", errors="backslashreplace")
    try:
        with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=".report-", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.chmod(file.name, 0o644)  # A temporary file is for its owner alone.
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}): choose another file") from error


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Mapping[str, Any]) -> str:
    text = json.dumps(_finite(data), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.translate(_ESCAPES)


def _finite(value: Any) -> Any:
    """Returns JSON values with text in place of numbers that JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
