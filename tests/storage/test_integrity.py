"""A work folder whose parts are not of one run, or not as old as each other, is refused before anything changes."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest
from helpers.tiny_runs import journal_lines, resume, rewrite_journal, start

import jaxevo as package
from jaxevo.cli.main import main
from jaxevo.reports.result import write_result
from jaxevo.search import evolution
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
    sentence = r"the snapshot .*14 does not belong to the run in .*journal.jsonl, or the end of the journal is missing"
    refused(copied, sentence)


def test_a_lost_journal_is_refused_where_the_snapshots_are_lost_too(copied):
    (copied / "journal.jsonl").unlink()
    shutil.rmtree(copied / "snapshots")
    refused(copied, r"the weights .* are of a training that is not in .*journal.jsonl")


@pytest.mark.parametrize("kept", [3, 20, -3])
def test_a_journal_that_lacks_its_end_is_refused(copied, kept):
    journal = copied / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:kept]))
    refused(copied, "the end of the journal is missing")


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
    refused(copied, r"manifest.json is not the one that the run began with")
    with pytest.raises(WorkdirError, match="is not the one that the run began with"):
        package.open(copied)


def test_without_its_snapshots_a_run_goes_on_from_the_journal(copied):
    shutil.rmtree(copied / "snapshots")
    resume(copied, MORE)
    assert package.open(copied).events == MORE


def test_files_of_others_among_the_weights_are_no_trainings(copied):
    (copied / "weights" / ".DS_Store").mkdir()
    resume(copied, MORE)
    assert package.open(copied).events == MORE


# Whatever reads a run recomputes its decisions, and compares.


def alter_fitness(path, place):
    """Changes the fitness of one record, with a checksum that agrees."""

    def change(lines):
        record = [line for line in lines if line["kind"] == "record"][place]
        record["outcome"]["accuracy"] = (record["outcome"]["accuracy"] + 0.5) % 1.0

    rewrite_journal(path, change)


READERS = {
    "open": lambda path, folder: package.open(path),
    "history": lambda path, folder: package.open(path).history,
    "show": lambda path, folder: command_line("show", path),
    "test": lambda path, folder: command_line("test", path),
    "export": lambda path, folder: command_line("export", path, folder / "network"),
    "result": lambda path, folder: write_result(path),
}


def command_line(*arguments):
    """Runs a command; raises what it says of a user's error."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        if main([str(argument) for argument in arguments]) == 2:
            raise ValueError(errors.getvalue())


def read_by_all(path, folder, sentence):
    """Asserts that all readers refuse a run and leave its folder as it is."""
    before = content(path)
    for name, read in READERS.items():
        with pytest.raises(ValueError, match=sentence):
            read(path, folder)
            pytest.fail(f"{name} reads the run")
    assert content(path) == before
    assert not (folder / "network").exists()


@pytest.mark.parametrize("name", READERS)
def test_the_untouched_run_is_read(copied, tmp_path, name):
    READERS[name](copied, tmp_path)


def test_an_altered_fitness_is_refused_by_all_that_read_a_run(copied, tmp_path):
    alter_fitness(copied, 1)
    read_by_all(copied, tmp_path, r"journal.jsonl: .* the journal was altered, or another version of jaxevo")


def test_an_altered_fitness_that_no_birth_follows_from_is_refused_too(copied, tmp_path):
    last = list(package.open(copied).history["id"])[-1]
    place = [line["outcome"]["id"] for line in journal_lines(copied, "record")].index(last)
    alter_fitness(copied, place)
    read_by_all(copied, tmp_path, f"the fingerprint after {EVENTS} events is .*, but another is recorded")


def test_a_run_is_not_read_by_another_algorithm(copied, tmp_path, monkeypatch):
    """A mutation that draws otherwise gives genotypes that were never trained."""
    drawn = evolution.keyed_generator
    shift = {evolution.Purpose.MUTATION: 1}
    monkeypatch.setattr(
        evolution, "keyed_generator", lambda seed, birth, purpose: drawn(seed + shift.get(purpose, 0), birth, purpose)
    )
    sentence = r"individual \d+ was trained as another birth than the evolution decides \(a child of"
    read_by_all(copied, tmp_path, sentence)


def test_a_journal_without_one_of_its_records_is_not_read(copied, tmp_path):
    rewrite_journal(copied, lambda lines: lines.remove(journal_record(lines, 5)))
    read_by_all(copied, tmp_path, "leads to .* events, but the run had 14: records are missing")


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("place", [0, 5, 13])
def test_a_journal_without_one_of_its_records_is_not_gone_on_with(copied, place, snapshots):
    told = list(package.open(copied).history["id"])[place]
    places = [line["outcome"]["id"] for line in journal_lines(copied, "record")]
    rewrite_journal(copied, lambda lines: lines.remove(journal_record(lines, places.index(told))))
    if not snapshots:
        shutil.rmtree(copied / "snapshots")
    before = content(copied)
    with pytest.raises(ValueError, match=r"records are missing. Restore it from a copy. Nothing was changed"):
        resume(copied, MORE)
    assert content(copied) == before


def test_an_altered_fitness_of_the_best_is_not_gone_on_with(copied):
    best = package.open(copied).best.individual.id
    alter_fitness(copied, [line["outcome"]["id"] for line in journal_lines(copied, "record")].index(best))
    refused(copied, f"individual {best} has another outcome than in the snapshot after {EVENTS} events")


def journal_record(lines, place):
    return [line for line in lines if line["kind"] == "record"][place]


def test_a_record_of_no_attempt_is_not_read(copied, tmp_path):
    rewrite_journal(copied, lambda lines: journal_record(lines, 5).update(attempt=9))
    read_by_all(copied, tmp_path, r"individual \d+ has a record, but no attempt: ")


def test_an_earlier_moment_before_the_difference_is_read(copied):
    last = list(package.open(copied).history["id"])[-1]
    place = [line["outcome"]["id"] for line in journal_lines(copied, "record")].index(last)
    alter_fitness(copied, place)
    assert package.open(copied, 4).events == 4
