"""Draw networks as text."""

from jaxevo.search.space import Drawing

_TITLE, _WIDTH = 9, 42


def drawing_text(drawing: Drawing) -> str:
    """Returns one line per box: its name, operation, shape, and its inputs other than the previous box."""
    lines = []
    for place, (title, detail, shape, *_) in enumerate(drawing.boxes):
        entering = [
            drawing.boxes[source].title for source, target in drawing.edges if target == place and source != place - 1
        ]
        skips = f"  + {', '.join(entering)}" if entering else ""
        name = f"{title:<{_TITLE}} {detail}".rstrip()
        lines.append(f"{name:<{_WIDTH - 1}} {' x '.join(map(str, shape))}{skips}")
    return "\n".join([*lines, *filter(None, [drawing.caption])])
