"""`jaxevo bench --compare`: the figures of two files side by side, and the files that it refuses."""

import copy
import json

import pytest

from jaxevo.bench.suite import SCHEMA_VERSION, Suite
from jaxevo.cli.main import main


def spread(median: float) -> dict:
    return {"median": median, "min": median / 2, "max": 2 * median, "samples": 3}


DOCUMENT = {
    "schema_version": SCHEMA_VERSION,
    "extent": {"name": "quick", "repeats": 3},
    "settings": {"ladder": {"batch_size": 50}, "evolution": {"train_steps": 300}},
    "date": "2026-11-26T10:00:00+00:00",
    "machine": {"jaxevo": "0.1", "jax": "0.10.2", "device": "cpu", "instruction sets": "avx2", "XLA_FLAGS": ""},
    "device": {"products": [{"dtype": "float32", "size": 512, "flops_per_second": spread(8e9)}]},
    "ladder": [
        {"name": "linear", "parameters": 40, "not_measured": None, "step_seconds": spread(0.002)},
        {"name": "conv 1", "parameters": 322, "not_measured": None, "step_seconds": spread(0.004)},
    ],
    "batches": [{"name": "linear", "batch_size": 128, "not_measured": None, "images_per_second": spread(1234.0)}],
    "compiling": {"speeds": [{"threads": 2, "architectures_per_second": spread(3.0), "ratio": 1.5}]},
    "evolution": {"individuals": 64, "lanes": 2, "individuals_per_hour": spread(600.0)},
    "lanes": [{"name": "linear", "lanes": 2, "devices": 1, "steps_per_second": spread(10.0), "ratio": 1.9}],
    "devices": {"not_measured": "this machine has one device"},
    "memory": [{"part": "ladder", "source": "peak resident memory of the process", "peak_bytes": 3 * 10**8}],
    "failed": [],
}


@pytest.fixture
def compared(tmp_path, monkeypatch, capsys):
    """Returns a function that compares two documents: `(one, other) -> (status, lines, error)`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Suite, "run", lambda self: pytest.fail("measured"))

    def compare(one: object, other: object) -> tuple[int, list[str], str]:
        for name, document in (("a.json", one), ("b.json", other)):
            (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
        status = main(["bench", "--compare", "a.json", "b.json"])
        told = capsys.readouterr()
        return status, [" ".join(line.split()) for line in told.out.splitlines()], told.err

    return compare


def changed(**fields: object) -> dict:
    return {**copy.deepcopy(DOCUMENT), **fields}


def test_every_figure_of_both_has_a_ratio_below_machines_versions_and_dates(compared):
    other = changed(date="2027-01-02T10:00:00+00:00", machine={**DOCUMENT["machine"], "device": "H100"})
    other["ladder"][0]["step_seconds"] = spread(0.001)
    other["memory"][0]["peak_bytes"] = 6 * 10**8
    status, lines, _ = compared(DOCUMENT, other)
    assert status == 0
    assert lines[0] == "A: a.json, 2026-11-26T10:00:00+00:00"
    assert "jax 0.10.2" in lines[1]
    assert "device cpu" in lines[1]
    assert lines[3] == "B: b.json, 2027-01-02T10:00:00+00:00"
    assert "device H100" in lines[4]
    for row in (
        "float32: flops per second 8 G 8 G 1",
        "linear: step seconds 0.002 0.001 0.5",
        "conv 1: step seconds 0.004 0.004 1",
        "linear, batch size 128: images per second 1,234 1,234 1",
        "threads 2: architectures per second 3 3 1",
        "lanes 2 2 1",
        "individuals per hour 600 600 1",
        "linear, lanes 2, devices 1: steps per second 10.0 10.0 1",
        "ladder, peak resident memory of the process: peak bytes 300 M 600 M 2",
    ):
        assert row in lines
    assert "devices: not measured in a.json and b.json" in lines


def test_figures_of_one_alone_are_counted_and_parts_of_one_alone_named(compared):
    other = changed(evolution={"not_measured": "its process ended without an answer"})
    del other["ladder"][1]
    _, lines, _ = compared(DOCUMENT, other)
    assert "ladder: 1 in A alone" in lines
    assert not any(line.startswith("conv 1: step") for line in lines)
    assert "evolution: not measured in b.json" in lines


def test_parts_of_other_settings_are_named_and_not_compared(compared):
    other = changed(settings={"ladder": {"batch_size": 50, "new": 1}, "evolution": {"train_steps": 500}})
    _, lines, _ = compared(DOCUMENT, other)
    assert "evolution: not compared, its settings differ (train_steps)" in lines
    assert "linear: step seconds 0.002 0.002 1" in lines


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (changed(schema_version=SCHEMA_VERSION - 1), f"schema_version is {SCHEMA_VERSION - 1}"),
        (changed(extent={"name": "full", "repeats": 5}), "extents differ (name, repeats)"),
        ([], "no file that jaxevo bench --json wrote"),
        ({"schema_version": SCHEMA_VERSION}, "no file that jaxevo bench --json wrote"),
    ],
)
def test_documents_that_cannot_be_compared_are_refused(compared, other, reason):
    status, lines, error = compared(DOCUMENT, other)
    assert (status, lines) == (2, [])
    assert error.startswith("jaxevo: error: --compare is ")
    assert reason in error


def test_text_of_others_is_no_markup_and_moves_no_cursor(compared):
    other = changed(machine={"device": "[red]\x1b[2J"}, date=None)
    other["ladder"] = [{"name": "[bold]\x1b", "step_seconds": spread(1.0)}, 7, None]
    _, lines, _ = compared(other, other)
    assert "device [red]\\x1b[2J" in lines[1]
    assert "[bold]\\x1b: step seconds 1 1 1" in lines


@pytest.mark.parametrize("arguments", [["a.json"], ["a.json", "b.json", "c.json"], ["a.json", "b.json", "--quick"]])
def test_anything_but_two_files_is_refused(arguments, capsys):
    assert main(["bench", "--compare", *arguments]) == 2
    assert capsys.readouterr().err.startswith("jaxevo: error: --compare is ")


def test_files_that_are_no_json_or_missing_are_refused(tmp_path, capsys):
    image = tmp_path / "image.json"
    image.write_bytes(b"\xff\xd8")
    assert main(["bench", "--compare", str(image), str(image)]) == 2
    assert "no file that jaxevo bench --json wrote" in capsys.readouterr().err
    assert main(["bench", "--compare", str(tmp_path / "missing.json"), str(image)]) == 2
    assert "missing.json" in capsys.readouterr().err
