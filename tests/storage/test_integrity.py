"""A work folder whose parts are not of one run, or not as old as each other, is refused before anything changes."""

import json
import shutil
from pathlib import Path

import pytest
from helpers.tiny_runs import resume, start

import jaxevo as package
from jaxevo.storage.workdir import WorkdirError

EVENTS = 14
MORE = EVENTS + 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    start(path, EVENTS)
    return path


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture(scope="module")
def another(tmp_path_factory) -> Path:
    """A run of the same length and another seed."""
    path = tmp_path_factory.mktemp("another") / "run"
    start(path, EVENTS, seed=4)
    return path


def content(path):
    return {file: file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def refused(path, sentence):
    """Asserts that a run is not gone on with, and that its folder stays as it is."""
    before = content(path)
    with pytest.raises(WorkdirError, match=sentence):
        resume(path, MORE)
    assert content(path) == before


def test_the_untouched_run_goes_on(copied):
    resume(copied, MORE)
    assert package.open(copied).events == MORE


def test_a_lost_journal_is_refused(copied):
    (copied / "journal.jsonl").unlink()
    refused(copied, r"the snapshot .*14 is not of the run that .*journal.jsonl holds, or the journal lacks its end")


def test_a_lost_journal_is_refused_where_the_snapshots_are_lost_too(copied):
    (copied / "journal.jsonl").unlink()
    shutil.rmtree(copied / "snapshots")
    refused(copied, r"the weights .* are of a training that .*journal.jsonl does not hold")


@pytest.mark.parametrize("kept", [3, 20, -3])
def test_a_journal_that_lacks_its_end_is_refused(copied, kept):
    journal = copied / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:kept]))
    refused(copied, "the journal lacks its end")


@pytest.mark.parametrize("part", ["snapshots", "journal.jsonl", "weights"])
def test_a_part_of_another_run_is_refused(copied, another, part):
    taken, place = another / part, copied / part
    if taken.is_dir():
        shutil.rmtree(place)
        shutil.copytree(taken, place)
    else:
        shutil.copy(taken, place)
    before = content(copied)
    with pytest.raises(ValueError, match=r"journal|weights|snapshot|manifest"):
        resume(copied, MORE)
    if part != "weights":  # That they are not the right ones shows when they are read.
        assert content(copied) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["settings"].update(seed=99),
        lambda fields: fields["settings"].update(selection="random"),
        lambda fields: fields["settings"].update(train_steps=21),
        lambda fields: fields.update(validation_images=7),
        lambda fields: fields["machine"]["packages"].update(jax="0.0.1"),
    ],
)
def test_an_altered_manifest_is_refused(copied, change):
    fields = json.loads((copied / "manifest.json").read_text())
    change(fields)
    (copied / "manifest.json").write_text(json.dumps(fields))
    refused(copied, r"manifest.json is not the one that the run was begun with")
    with pytest.raises(WorkdirError, match="is not the one that the run was begun with"):
        package.open(copied)


def test_without_its_snapshots_a_run_goes_on_from_the_journal(copied):
    shutil.rmtree(copied / "snapshots")
    resume(copied, MORE)
    assert package.open(copied).events == MORE


def test_files_of_others_among_the_weights_are_no_trainings(copied):
    (copied / "weights" / ".DS_Store").mkdir()
    resume(copied, MORE)
    assert package.open(copied).events == MORE
