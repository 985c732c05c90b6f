"""What comes from data or users neither is markup nor moves the cursor."""

import io

from rich.console import Console

from jaxevo.reports.live import LiveView
from jaxevo.reports.terminal import printable


def test_control_characters_become_escapes():
    assert printable("one\n\x1b[2Jtwo\r\x07\u202e \u00e9\u4e2d") == "one\n\\x1b[2Jtwo\\r\\x07\\u202e \u00e9\u4e2d"


def test_a_notice_is_no_markup():
    stream = io.StringIO()
    view = LiveView(Console(file=stream, width=120))
    with view.live:
        view.notice("class [/] and [bold]cat[/bold] \x1b[2J")
    assert "class [/] and [bold]cat[/bold] \\x1b[2J" in stream.getvalue()
