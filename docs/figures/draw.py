"""Draw the figures of the pages: python docs/figures/draw.py. Their colours are classes of custom.css."""

from pathlib import Path

FOLDER = Path(__file__).parent


def box(x: float, y: float, width: float, lines: list[str], kind: str = "plain", height: float = 44) -> str:
    """Returns a box with one or two centred lines of text."""
    first = y + height / 2 + 4 - 8 * (len(lines) - 1)
    texts = [text(x + width / 2, first + 16 * place, line, "middle") for place, line in enumerate(lines)]
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>' + "".join(texts)


def text(x: float, y: float, line: str, anchor: str = "start", kind: str = "") -> str:
    """Returns a line of text."""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{line}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "edge") -> str:
    """Returns a line; an edge ends in an arrow."""
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def figure(name: str, height: int, about: str, parts: list[str]) -> None:
    """Writes a figure of 720 units width."""
    arrow = (
        f'<defs><marker id="{name}-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    style = f"<style>.concept-{name} .edge {{ marker-end: url(#{name}-arrow) }}</style>"
    body = "\n".join([arrow, style, *parts])
    svg = f'<svg viewBox="0 0 720 {height}" role="img" aria-label="{about}">\n{body}\n</svg>'
    Path(FOLDER, f"{name}.svg").write_text(f'<div class="concept concept-{name}">\n{svg}\n</div>\n')


def genotype() -> None:
    """A parent, its child with a convolution more, and the arrays that the child inherits."""
    parts = [text(0, 45, "parent", kind="strong"), text(0, 185, "child", kind="strong")]
    parent = [(70, "image"), (180, "conv 3 x 3|16 channels"), (420, "conv 3 x 3|32, stride 2"), (550, "mean, classes")]
    child = [*parent[:2], (300, "conv 3 x 3|16 channels"), *parent[2:]]
    for row, boxes in ((18, parent), (158, child)):
        for place, (x, words) in enumerate(boxes):
            width = 80 if place == 0 else 105
            new = x == 300
            parts.append(box(x, row, width, words.split("|"), "new" if new else "plain"))
            if place + 1 < len(boxes):
                parts.append(line(x + width, row + 22, boxes[place + 1][0] - 2, row + 22))
    for x in (232, 472, 602):
        parts.append(line(x, 64, x, 155, "kept"))
    parts += [
        text(352, 100, "INSERT-CONVOLUTION", "middle", "accent"),
        line(352, 108, 352, 155),
        text(537, 114, "weights inherited", "middle", "quiet"),
        text(70, 234, "learning rate 0.1, and ids by which a layer is known through all generations", kind="quiet"),
    ]
    about = "A parent and its child, which has one convolution more and inherits the weights of the others"
    figure("genotype", 246, about, parts)


def clock() -> None:
    """Births on three virtual workers, the order of telling, and two lanes that train them."""

    def bar(row: float, begin: float, end: float, birth: int, kind: str = "plain") -> str:
        x, last = 120 + 60 * begin, 120 + 60 * end
        return box(x, row, last - x - 3, [str(birth)], kind, 26)

    parts = [text(0, 18, "virtual clock", kind="strong")]
    workers = [[(0, 3, 0), (3, 8, 4)], [(0, 2, 1), (2, 6, 3)], [(0, 4.5, 2), (4.5, 9, 5)]]
    for place, births in enumerate(workers):
        parts.append(text(0, 48 + 32 * place, f"worker {place + 1}", kind="quiet"))
        parts += [bar(30 + 32 * place, *birth, kind="new" if birth[2] == 3 else "plain") for birth in births]
    parts.append(text(0, 154, "told", kind="quiet"))
    for time, birth in ((2, 1), (3, 0), (4.5, 2), (6, 3), (8, 4)):
        x = 120 + 60 * time - 3
        parts += [line(x, 128, x, 138, "tick"), text(x, 154, str(birth), "middle", "accent")]
    parts += [line(120, 164, 660, 164), text(668, 168, "time", kind="quiet")]
    parts.append(text(0, 204, "this machine", kind="strong"))
    for place, births in enumerate([[(0, 1.4, 1), (1.4, 6, 2)], [(0, 2.2, 0), (2.2, 4.2, 3), (4.2, 7.5, 4)]]):
        parts.append(text(0, 234 + 32 * place, f"lane {place + 1}", kind="quiet"))
        parts += [bar(216 + 32 * place, *birth, kind="new" if birth[2] == 3 else "plain") for birth in births]
    parts += [
        line(370, 288, 478, 288, "kept"),
        line(370, 282, 370, 294, "tick"),
        line(478, 282, 478, 294, "tick"),
        text(486, 292, "3 is ready, and waits until 2 is told", kind="quiet"),
    ]
    about = "Births on virtual workers are told in virtual order, whichever lane finishes first"
    figure("clock", 304, about, parts)


def fingerprint() -> None:
    """A chain of hashes over the events and deaths of a run."""
    parts = []
    chain = (("event 1", "7be1"), ("event 2", "c09a"), ("death", "41d5"), ("event 3", "b3f2"))
    for place, (event, start) in enumerate(chain):
        x = 150 * place
        parts += [box(x, 22, 120, [event, f"hash {start}..."], "new"), line(x + 122, 44, x + 148, 44)]
        parts.append(line(x + 60, 104, x + 60, 69))
        if event == "death":
            parts.append(box(x, 106, 120, ["id"]))
        else:
            parts += [
                box(x, 106, 120, ["parent, genotype,", "mutation"]),
                box(x, 150, 120, ["fitness bits,", "hash of weights"]),
            ]
    parts.append(text(604, 48, "fingerprint", kind="accent"))
    figure("fingerprint", 204, "The hash of an event or death covers the individual and the hash before it", parts)


def loop() -> None:
    """The host loop between the evolution, the lanes and the journal."""
    parts = [
        box(0, 30, 170, ["evolution: population,", "births in flight"], height=64),
        box(290, 30, 130, ["host loop"], "new", 64),
        box(540, 30, 180, ["lanes: compile, inherit,", "train, validate, save"], height=64),
        box(255, 150, 200, ["journal.jsonl, snapshots/"]),
        text(230, 40, "ask: births", "middle", "quiet"),
        line(172, 48, 287, 48),
        line(288, 76, 173, 76),
        text(230, 94, "tell: the outcome", "middle", "quiet"),
        text(230, 110, "that is due next", "middle", "quiet"),
        text(480, 40, "births, in order", "middle", "quiet"),
        line(422, 48, 537, 48),
        line(538, 76, 423, 76),
        text(480, 94, "records", "middle", "quiet"),
        line(355, 96, 355, 147),
        text(365, 126, "records, forced to disk first", kind="quiet"),
        box(540, 150, 180, ["weights/"]),
        line(630, 96, 630, 147),
    ]
    figure("loop", 206, "The host loop asks the evolution for births, and tells it the outcomes of the lanes", parts)


if __name__ == "__main__":
    loop()
    genotype()
    clock()
    fingerprint()
