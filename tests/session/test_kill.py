"""kill -9 at special moments; those at every named point and at random ones are in test_faults.py."""

from helpers.tiny_runs import SIGKILLED, jaxevo, journal_lines, run_arguments, start

import jaxevo as package

EVENTS = 14


def test_a_run_killed_before_its_first_record_keeps_its_limits(tmp_path):
    expected = start(tmp_path / "undisturbed", EVENTS).progress.state.fingerprint
    path = tmp_path / "run"
    first = jaxevo(*run_arguments(path, EVENTS), kill_point="before journal record:1")
    assert first.returncode == SIGKILLED, first.stderr
    assert not journal_lines(path, "start")
    last = jaxevo("resume", path, "--lanes", 2)
    assert last.returncode == 0, last.stderr
    assert package.open(path).fingerprint == expected


def test_a_damaged_training_checkpoint_is_found_and_trained_over(tmp_path):
    flags = {"train_steps": 4000, "num_workers": 1, "population_size": 2}
    expected = start(tmp_path / "undisturbed", 1, **flags).progress.state.fingerprint
    path = tmp_path / "run"
    arguments = run_arguments(path, 1, lanes=1, checkpoint_seconds=1e-9, **flags)
    assert jaxevo(*arguments, kill_point="after training checkpoint:3").returncode == SIGKILLED
    for file in sorted((path / "training").rglob("*")):
        if file.is_file():
            data = bytearray(file.read_bytes())
            for place in range(len(data)):
                data[place] ^= 0x55
            file.write_bytes(bytes(data))
    last = jaxevo("resume", path, "--lanes", 1)
    assert last.returncode == 0, last.stderr
    assert package.open(path).fingerprint == expected
