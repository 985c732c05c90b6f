"""How options are read, explained and completed."""

import dataclasses
import re
import shutil
import subprocess

import pytest

from jaxevo.cli.commands import COMMANDS, PrintCommand
from jaxevo.cli.main import main
from jaxevo.cli.parse import parse
from jaxevo.presets import PRESETS
from jaxevo.session.limits import check_changes
from jaxevo.settings import Execution

GROUPS = ("What to evolve", "How it evolves", "Training", "Where to stop", "Execution", "Cluster", "Other tools")


def printed(*arguments) -> str:
    found = parse(arguments)
    assert isinstance(found, PrintCommand)
    return found.text


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("max-memory", "8GB", 8_000_000_000),
        ("max-memory", "512MiB", 512 * 2**20),
        ("max-memory", "1.5 gib", 3 * 2**29),
        ("max-memory", "1e9", 1_000_000_000),
        ("max-memory", "1000", 1000),
        ("max-memory", "none", None),
        ("max-parameters", "1e6", 1_000_000),
        ("train-steps", "25_600", 25_600),
        ("virtual-rate", "4.5e12", 4.5e12),
        ("flip", "false", False),
        ("image-size", "none", None),
        ("seed", "9223372036854775807", 2**63 - 1),
    ],
)
def test_settings_are_read_with_their_units(option, text, value):
    found = getattr(parse(["run", f"--{option}", text]).settings, option.replace("-", "_"))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200.0), ("90m", 5400.0), ("1h30m", 5400.0), ("1d", 86_400.0), ("45s", 45.0), ("8", 8.0)],
)
def test_times_are_read_in_all_options_of_seconds(text, seconds):
    given = parse(["run", "--max-seconds", text, f"--checkpoint-seconds={text}", "--lease-seconds", text])
    execution = given.execution
    assert [given.limits.max_seconds, execution.checkpoint_seconds, execution.lease_seconds] == [seconds] * 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("run --max-individuals 2.5", "--max-individuals is '2.5', but must be a whole number, such as 100 or 1e6"),
        ("run --max-individuals 1e999999", "--max-individuals is '1e999999', but must be a whole number"),
        ("run --max-individuals", "--max-individuals is given without a value, but must be a whole number"),
        ("run --dataset --seed 3", "--dataset is given without a value, but must be text"),
        ("run --max-memory 8QB", "--max-memory is '8QB', but must be bytes, or a size such as 512MiB or 8GB"),
        (
            "run --max-seconds 30m1h",
            "--max-seconds is '30m1h', but must be seconds, or a time such as 90m, 2h or 1h30m",
        ),
        ("run --max-seconds 1h2h", "--max-seconds is '1h2h', but must be seconds"),
        ("run --weight-decay much", "--weight-decay is 'much', but must be a number, such as 0.5 or 4.5e12"),
        ("run --selection best", "--selection is 'best', but must be one of tournament, aging, pareto, random"),
        ("run --preset tiny", f"--preset is 'tiny', but must be one of {', '.join(PRESETS)}"),
        ("run --fast=maybe", "--fast is 'maybe', but must be true or false"),
        ("run --max-indivduals 3", "--max-indivduals is no option of jaxevo run: did you mean --max-individuals?"),
        ("run runs/a", "'runs/a' is one word too many for jaxevo run, which takes options alone"),
        ("run --lanes 2 --lanes-per-device 2", "--lanes-per-device is 2, but must be left out beside lanes 2"),
        ("rusume runs/a", "'rusume' is no command: did you mean resume?"),
        ("resume", "WORKDIR is missing for jaxevo resume: give the folder of a run"),
        ("resume a --skip-birth x", "--skip-birth is ['x'], but must be a whole number"),
        ("resume a b", "'b' is one word too many for jaxevo resume, which takes WORKDIR"),
        ("finish a", "--share is missing for jaxevo finish: give --share 0.5"),
        ("predict a", "IMAGE is missing for jaxevo predict: give the paths of image files"),
        ("completion fish", "SHELL is 'fish', but must be one of bash, zsh"),
    ],
)
def test_every_error_names_the_option_what_was_given_and_what_would_do(arguments, sentence, capsys):
    assert main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"jaxevo: error: {sentence}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", ["--max-seconds none", "--target-accuracy none --max-individuals 200"])
def test_a_resumed_run_cannot_lose_a_limit(words):
    with pytest.raises(ValueError, match=r"^(max_seconds|target_accuracy) is none, but resume lifts no limit"):
        parse(["resume", "a", *words.split()])
    with pytest.raises(ValueError, match="max_seconds is none, but resume lifts no limit"):
        check_changes({"max_seconds": None, "lanes": None})
    check_changes({"max_seconds": 1.0, "lanes": None})


def test_options_and_operands_may_come_in_any_order():
    for words in ("show a 5 --json", "show --json a 5", "show a --json 5", "show a --json -- 5"):
        command = parse(words.split())
        assert (command.workdir, command.individual, command.json) == ("a", 5, True)
    assert parse(["resume", "--skip-birth", "3", "5", "--lanes", "1", "a"]).skip_birth == (3, 5)
    assert parse(["predict", "a", "x.png", "--top", "2", "y.png"]).images == ("x.png", "y.png")
    assert parse(["report", "a", "-o", "page.html"]).output == "page.html"


def test_every_option_is_explained_in_a_group_with_its_default(wide):
    text = printed("run", "--help")
    _, *parts = re.split(r"\n\n(?=[A-Z][a-z ]+:\n)", text)
    assert [part.split(":")[0] for part in parts] == [*GROUPS, "Files"]
    rows = re.findall(r"^  --([\w-]+)(.*(?:\n {20,}.*)*)", "\n".join(parts), re.MULTILINE)
    flags = {name: " ".join(about.split()) for name, about in rows}
    settings, limits = PRESETS["demo"]
    for given in (settings, limits, Execution()):
        for field in dataclasses.fields(given):
            about = flags[field.name.replace("_", "-")]
            value = getattr(given, field.name)
            assert len(about.split()) > 5, about
            assert about.count("Default:") <= 1
            if isinstance(value, str):
                assert about.endswith(f"Default: {value}.")
            elif value is not None and not isinstance(value, bool):
                default = re.search(r"Default: (.+)\.$", about)[1]
                again = parse(["run", f"--{field.name.replace('_', '-')}", default])
                section = {type(one): one for one in (again.settings, again.limits, again.execution)}[type(given)]
                assert getattr(section, field.name) == value


def test_the_help_says_no_none_and_names_the_common_options_first_and_in_short(wide):
    text = printed("run", "--help")
    assert "{None}" not in text
    assert "default: None" not in text
    common = text.split("Common options, in short:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in common if line.startswith("  --")][:3] == ["--dataset", "--preset", "--seed"]
    short = printed("run", "-h")
    assert "\n".join(common) in short
    assert len(short.splitlines()) < 24
    assert "jaxevo run --help explains all options" in short
    assert 'eval "$(jaxevo completion bash)"' in text


def test_the_help_of_a_preset_shows_its_defaults(wide):
    assert "Training steps per individual. Default: 25600." in printed("run", "--preset", "paper", "--help")
    assert "Training steps per individual. Default: 800." in printed("run", "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_each_of_its_options_is_explained(name):
    assert re.search(rf"^  {name} +[A-Z]", printed(), re.MULTILINE)
    text = printed(name, "--help")
    assert text.startswith(f"usage: jaxevo {name} ")
    assert all(len(line) <= 100 for line in text.splitlines())


def test_the_usage_names_what_must_be_given():
    assert printed("finish", "--help").startswith("usage: jaxevo finish WORKDIR --share X [OPTION ...]")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["re"], {"resume", "report", "replay"}),
        (["run", "--max-s"], {"--max-seconds"}),
        (["run", "--preset", "p"], {"paper"}),
        (["show", "runs/a", "--"], {"--json", "--svg", "--help"}),
        (["completion", "fi"], set()),
    ],
)
def test_the_shell_completes_commands_options_and_choices(words, found):
    line = " ".join(f"'{word}'" for word in ["jaxevo", *words])
    script = f"{printed_script()}\nCOMP_WORDS=({line}) COMP_CWORD={len(words)}; _jaxevo; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert set(done.stdout.split()) == found
    assert done.stderr == ""


def printed_script() -> str:
    from jaxevo.cli.help import completion
    from jaxevo.cli.parse import command_options

    return completion("bash", {name: command_options(name) for name in COMMANDS})


def test_an_option_of_several_values_may_be_given_again():
    assert parse(["resume", "a", "--skip-birth", "3", "--skip-birth", "5", "6"]).skip_birth == (3, 5, 6)
    assert parse(["resume", "--skip-birth", "3", "--", "a"]).workdir == "a"


@pytest.mark.parametrize("words", ["list --json", "completion --x bash"])
def test_a_command_without_options_refuses_them_in_a_sentence(words, capsys):
    assert main(words.split()) == 2
    assert "is no option of jaxevo" in capsys.readouterr().err


def test_a_size_without_end_is_refused(capsys):
    assert main(["run", "--max-memory", "1e400"]) == 2
    assert "--max-memory is '1e400', but must be bytes" in capsys.readouterr().err
