"""What JAX is asked in a child process, and what is kept of its answers."""

import json
import os
import subprocess

import pytest
from helpers.tiny_runs import command, jaxevo, run_arguments

from jaxevo.environment import probe
from jaxevo.environment.probe import Found, ask_jax

KNOWN = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
UNKNOWN = "--xla_no_such_flag=true"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEVO_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    return tmp_path / "devices"


class Children:
    """Stand-ins for the child process: they know some flags, and count how often they are asked."""

    def __init__(self, platform="cpu", known=(KNOWN,), words="Unknown flag in XLA_FLAGS: "):
        self.platform, self.known, self.words = platform, known, words
        self.asked = 0

    def __call__(self, flags):
        self.asked += 1
        unknown = [flag for flag in flags if flag not in self.known]
        if unknown:
            stderr = f"F1126 parse_flags_from_env.cc:234] {self.words}{' '.join(unknown)}"
            return subprocess.CompletedProcess([], -6, "", stderr)
        return subprocess.CompletedProcess([], 0, f"a plugin's greeting\n{self.platform}\n", "")


@pytest.fixture
def children(monkeypatch):
    def install(*arguments, **named):
        installed = Children(*arguments, **named)
        monkeypatch.setattr(probe, "_child", installed)
        return installed

    return install


def test_jax_says_what_devices_there_are_and_which_flags_it_knows(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert ask_jax([UNKNOWN, KNOWN]) == Found("cpu", (KNOWN,))


@pytest.mark.parametrize("words", ["Unknown flag in XLA_FLAGS: ", "Unknown flags in XLA_FLAGS: ", "not these: "])
def test_unknown_flags_are_found_in_whatever_words_xla_refuses_them(children, words):
    asked = children(words=words)
    assert ask_jax([UNKNOWN, KNOWN, "--xla_nor_this=1"]) == Found("cpu", (KNOWN,))
    assert asked.asked == (5 if words == "not these: " else 2)


def test_a_flag_of_the_users_that_xla_does_not_know_ends_in_a_sentence(children, monkeypatch):
    children()
    monkeypatch.setenv("XLA_FLAGS", UNKNOWN)
    with pytest.raises(ValueError, match="JAX does not start on this machine: .*XLA_FLAGS: --xla_no_such_flag"):
        ask_jax([KNOWN])


@pytest.mark.slow
def test_the_command_line_refuses_such_a_flag_with_the_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", UNKNOWN)
    refused = jaxevo(*run_arguments(tmp_path / "run", 1))
    assert refused.returncode == 2
    assert "error: JAX does not start on this machine" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_answer_is_kept(children):
    asked = children("gpu")
    assert ask_jax([KNOWN]) == ask_jax([KNOWN]) == Found("gpu", (KNOWN,))
    assert asked.asked == 1


def test_a_process_that_a_prepared_one_starts_finds_the_answer(children, monkeypatch):
    """Its environment holds the flags that were accepted."""
    asked = children()
    ask_jax([UNKNOWN, KNOWN])
    before = asked.asked
    monkeypatch.setenv("XLA_FLAGS", KNOWN)
    assert ask_jax([UNKNOWN, KNOWN]) == Found("cpu", (KNOWN,))
    assert asked.asked == before


@pytest.mark.parametrize("name", ["JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS"])
def test_other_variables_are_another_question(children, monkeypatch, name):
    asked = children()
    monkeypatch.setenv(name, "0")
    ask_jax([KNOWN])
    monkeypatch.setenv(name, "1")
    ask_jax([KNOWN])
    assert asked.asked == 2


def test_another_jaxlib_is_another_question(children, monkeypatch):
    asked = children()
    ask_jax([KNOWN])
    monkeypatch.setattr(probe, "_versions", lambda: {"jaxlib": "99"})
    ask_jax([KNOWN])
    assert asked.asked == 2


def test_devices_that_are_there_but_were_not_found_are_asked_for_again(children, monkeypatch, tmp_path):
    """The device may have been busy, or its driver or plugin missing."""
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(probe, "_DEVICE_FILES", (str(tmp_path / "nvidia[0-9]*"),))
    asked = children("cpu")
    ask_jax([KNOWN])
    asked.platform = "gpu"
    assert ask_jax([KNOWN]).platform == "gpu"
    assert ask_jax([KNOWN]).platform == "gpu"
    assert asked.asked == 2


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"found": {"platform": 1, "flags": []}, "key": {}}'])
def test_a_damaged_answer_is_asked_for_again(children, folder, damage):
    asked = children()
    ask_jax([KNOWN])
    (file,) = folder.iterdir()
    file.write_text(damage)
    assert ask_jax([KNOWN]) == ask_jax([KNOWN]) == Found("cpu", (KNOWN,))
    assert asked.asked == 2
    assert json.loads(file.read_text())["found"] == {"platform": "cpu", "flags": [KNOWN]}


def test_a_folder_that_cannot_be_written_costs_only_time(children, folder):
    folder.write_text("a file in the folder's place")
    asked = children()
    assert ask_jax([KNOWN]) == ask_jax([KNOWN]) == Found("cpu", (KNOWN,))
    assert asked.asked == 2
    probe.forget()


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("show", "nothing-here")])
def test_commands_without_jax_ask_nothing(folder, arguments):
    subprocess.run(command(*arguments), capture_output=True, timeout=60, check=False, env=os.environ)
    assert not folder.exists()
