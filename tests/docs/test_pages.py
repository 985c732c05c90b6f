"""The pages of docs/: their Python runs, and their commands are those of the real command line."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
from helpers.tiny_runs import TINY

from jaxevo import evolve
from jaxevo.cli.parse import parse
from jaxevo.presets import PRESETS
from jaxevo.settings import Limits, Settings

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES["experiments/README.md"] = (ROOT / "experiments/README.md").read_text(encoding="utf-8")
# Those of extending.md are run by tests/test_extending.py, README's by test_readme.py.
WITH_PYTHON = [name for name in PAGES if "```python" in PAGES[name] and name not in ("extending.md", "README.md")]
LIMIT = re.compile(r"max_individuals=\d+")


def blocks(text: str, language: str) -> list[str]:
    """Returns the fenced blocks of a language, "" for those without one."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str, program: str) -> list[str]:
    """Returns the commands in a page that begin with a program: lines of blocks, and code within sentences."""
    lines = [line for block in blocks(text, "") for line in block.splitlines()]
    # The last command of a line such as `export A=b && jaxevo run`, and that within a quotation.
    found = [match[1] for line in lines if (match := re.search(rf"(?:^|; |&& |\$RAY )({program} [^\"]*)", line))]
    return found + re.findall(rf"`({program} [^`]+)`", " ".join(text.split()))


def words_of(command: str) -> list[str]:
    return shlex.split(command.split(" > ")[0].split(" && ")[0], comments=True)


COMMANDS = sorted({one for text in PAGES.values() for one in commands(text, "jaxevo")})


def test_pages_were_found():
    assert {"index.md", "quickstart.md", "images.md", "verify.md"} <= PAGES.keys()
    assert {"quickstart.md", "images.md", "verify.md"} <= set(WITH_PYTHON)
    assert len(COMMANDS) > 35


def rows(page, title):
    """Returns the cells of the first table under a title of a page, a tuple for each line."""
    lines = PAGES[page].split(f"\n## {title}\n")[1].split("\n\n")
    table = next(part for part in lines if part.strip().startswith("|"))
    return [tuple(cell.strip(" `") for cell in line.strip("|").split("|")) for line in table.strip().splitlines()]


def test_the_table_of_presets_has_their_values():
    (_, *names), _, *lines = rows("commands.md", "The presets")
    assert names == list(PRESETS)
    for option, *cells in lines:
        for name, cell in zip(names, cells, strict=True):
            settings, limits = PRESETS[name]
            field = option.removeprefix("--").replace("-", "_")
            value = getattr(limits if field in vars(limits) else settings, field)
            if option == "--num-workers" and value is None:
                value = settings.virtual_workers
            text = f"{value:g}" if isinstance(value, float) else str(value).lower()
            assert cell == text, (option, name)


def test_the_table_of_the_result_has_its_fields(tmp_path):
    evolve(tmp_path / "run", max_individuals=4, finish_share=0.01, **TINY)
    table = PAGES["design.md"].split("`result.json` holds:")[1].split("\n## ")[0]
    named = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", "".join(line.split("|")[1:2]))]
    assert sorted(named) == sorted(json.loads((tmp_path / "run" / "result.json").read_text()))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one_of_the_command_line(command, tmp_path, monkeypatch):
    (tmp_path / "run.toml").write_text('max-seconds = "2h"\n')
    monkeypatch.chdir(tmp_path)
    words = words_of(command)[1:]
    if words == ["--version"] or words[0] == "COMMAND":
        return
    bare = [word for word in words[1:] if word != "..."]
    if f"`{command}`" in " ".join("\n".join(PAGES.values()).split()):
        # A sentence may name a command without its operands, or an option without its value; a block must not.
        try:
            parse([words[0], *bare])
        except ValueError as error:
            if not re.search("is missing for|is given without a value", str(error)):
                raise
    else:
        parse([words[0], *bare])


@pytest.mark.parametrize("name", PAGES)
def test_a_program_is_a_module(name):
    for command in commands(PAGES[name], "python -m"):
        module = words_of(command)[2]
        if not module.endswith("NAME"):
            assert importlib.util.find_spec(module.partition("[")[0]), command


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_the_python_of_a_page_runs_in_order(name, tmp_path, monkeypatch, capsys):
    if "sklearn" in PAGES[name]:
        pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    tiny = {key: value for key, value in TINY.items() if key not in ("dataset", "seed")}
    monkeypatch.setitem(PRESETS, "demo", (Settings(**tiny), Limits(finish_share=0.01)))
    script = "\n".join(blocks(PAGES[name], "python"))
    limits = sorted({int(text.partition("=")[2]) for text in LIMIT.findall(script)})
    # The same order of limits, so that a run that is resumed goes on.
    short = LIMIT.sub(lambda text: f"max_individuals={7 + limits.index(int(text[0].partition('=')[2]))}", script)
    exec(compile(short, name, "exec"), {"__name__": "page"})
    if name == "verify.md":
        assert "[]" in capsys.readouterr().out.splitlines(), "a difference was found"
