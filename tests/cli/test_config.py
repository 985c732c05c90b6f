"""Options in a TOML file."""

import pytest

from jaxevo.cli.main import main
from jaxevo.cli.parse import parse


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "run.toml"
        path.write_text(text)
        return str(path)

    return write


def test_a_file_has_the_names_and_values_of_the_options(file):
    path = file(
        'preset = "small"\ndataset = "digits"\nmax-individuals = 1e3\nmax_memory = "8GB"\nmax-seconds = "2h"\n'
        'flip = false\nwall-clock = true\nmax-flops = "none"\nlanes = 1\nworkdir = "here"\nweight-decay = 0\n'
    )
    given = parse(["run", "--config", path])
    settings, limits = given.settings, given.limits
    assert given.preset == "small"
    assert (settings.dataset, settings.max_memory, settings.flip, settings.wall_clock) == (
        "digits",
        8 * 10**9,
        False,
        True,
    )
    assert (limits.max_individuals, limits.max_seconds, limits.max_flops) == (1000, 7200.0, None)
    assert (given.execution.lanes, given.workdir, settings.weight_decay) == (1, "here", 0.0)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(file):
    path = file('preset = "paper"\nseed = 4\ntrain-steps = 9\nwall-clock = true\n')
    given = parse(["run", "--seed", "5", "--config", path, "--wall-clock=false"])
    assert (given.settings.seed, given.settings.train_steps, given.settings.population_size) == (5, 9, 1000)
    assert not given.settings.wall_clock
    assert parse(["run", "--config", path, "--preset", "demo"]).settings.population_size == 8


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max-individual = 3", "max-individual in {} is no option of jaxevo run: did you mean max-individuals?"),
        ("[training]\nseed = 3", "training in {} is no option of jaxevo run: did you mean train-steps?"),
        ("max-individuals = 2.5", "max-individuals in {} is 2.5, but must be a whole number, such as 100 or 1e6"),
        ("max-individuals = true", "max-individuals in {} is True, but must be a whole number"),
        ('config = "other.toml"', "config in {} is no option of jaxevo run: did you mean "),
        ("dataset = 3", "dataset in {} is 3, but must be text"),
        ("seed = [1, 2]", "seed in {} is [1, 2], but must be a whole number"),
        ("schedule = 1", "schedule in {} is 1, but must be one of constant"),
        ("schedule = []", "schedule in {} is [], but must be one of constant"),
        ("population-size = 1", "--population-size is 1, but must be 2 or more"),
        ("seed = ", "--config is '{}', which is no TOML file: Invalid value"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(text, sentence, file, capsys):
    path = file(text)
    assert main(["run", "--config", path]) == 2
    assert sentence.format(path) in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--preset", "paper"],
        ["--max-flops", "none", "--max-individuals", "3", "--max-seconds", "1.5", "--num-workers", "none"],
        ["--dataset", 'a "b"\\\n\x7f\u00e9.npz', "--flip", "true", "--fast", "--virtual-rate", "1e22", "--report"],
        ["--workdir", "here", "--image-size", "32x32", "--lanes", "3", "--executor", "ray", "--ray-workers", "2"],
    ],
)
def test_what_is_printed_is_read_back_to_the_same_settings(arguments, file, capsys):
    assert main(["run", *arguments, "--print-config"]) == 0
    path = file(capsys.readouterr().out)
    assert parse(["run", "--config", path]) == parse(["run", *arguments])


def test_what_is_printed_was_checked(capsys):
    assert main(["run", "--population-size", "1", "--print-config"]) == 2
    assert capsys.readouterr().out == ""


def test_a_session_has_a_file_too(file):
    given = parse(["resume", "a", "--config", file("max-individuals = 5\nskip-birth = [3, 4]\n")])
    assert (given.workdir, given.limits.max_individuals, given.skip_birth) == ("a", 5, (3, 4))
    assert parse(["resume", "a", "--config", file("skip-birth = 3\n")]).skip_birth == (3,)
