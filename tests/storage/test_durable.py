"""What a power cut must not take: it is forced to disk, and before anything says that it is there."""

import os
from pathlib import Path

import pytest
from helpers.tiny_runs import TINY, journal_lines, start

from jaxevo.storage.durable import force_tree, write_json


def state_of(path):
    """Returns what changes whenever a file is written to, or an entry of a folder made, renamed or removed."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size


@pytest.fixture
def forced(monkeypatch):
    """Notes every fsync: the path, its state, and of a file its content."""
    notes = []
    fsync = os.fsync

    def noting(descriptor):
        fsync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        notes.append((path, state_of(path), path.read_bytes() if path.is_file() else b""))

    monkeypatch.setattr(os, "fsync", noting)
    return notes


def forced_before(notes, path, place):
    """Returns whether a file or folder was on disk, as it is now, before the note at a place was made."""
    return any(noted == path and state == state_of(path) for noted, state, _ in notes[:place])


def test_weights_are_on_disk_before_the_journal_names_them(forced, tmp_path):
    start(tmp_path / "run", TINY["population_size"] + 4)
    weights = tmp_path / "run" / "weights"
    journalled = {record["outcome"]["weights"] for record in journal_lines(tmp_path / "run", "record")}
    kept = sorted(path for path in weights.iterdir() if path.name in journalled)
    assert len(kept) >= 4
    for folder in kept:
        named = next(
            place
            for place, (path, _, content) in enumerate(forced)
            if path.name == "journal.jsonl" and f'"weights": "{folder.name}"'.encode() in content
        )
        inside = [folder, *folder.rglob("*")]
        assert {"genotype.json", "_METADATA", "manifest.ocdbt"} <= {path.name for path in inside}
        assert [path for path in inside if not forced_before(forced, path, named)] == []
        # The entry that names the folder, whatever was added to its neighbours since.
        assert weights in [path for path, *_ in forced[:named]]


def test_a_snapshot_is_on_disk_once_it_is_saved(forced, tmp_path):
    start(tmp_path / "run", TINY["population_size"] + 4)
    snapshots = tmp_path / "run" / "snapshots"
    last = max((path for path in snapshots.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    assert [path for path in (last, *last.rglob("*")) if not forced_before(forced, path, len(forced))] == []
    assert snapshots in [path for path, *_ in forced]


def test_the_entries_of_a_new_run_are_on_disk(forced, tmp_path):
    start(tmp_path / "run", 1)
    names = [path for path, *_ in forced]
    began = next(place for place, (path, *_) in enumerate(forced) if path.name == "journal.jsonl")
    assert tmp_path in names[:began]  # The folder of the run.
    assert tmp_path / "run" in names[:began]  # The manifest and the journal.


def test_a_file_replaces_another_only_when_it_is_on_disk_and_so_is_its_name(forced, tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"individuals": 1})
    assert [noted.name for noted, *_ in forced] == [".result.json.tmp", tmp_path.name]
    assert forced[0][2] == path.read_bytes()


def test_a_tree_is_forced_from_its_leaves_to_its_entry(forced, tmp_path):
    (tmp_path / "tree" / "branch").mkdir(parents=True)
    (tmp_path / "tree" / "branch" / "leaf").write_text("green")
    force_tree(tmp_path / "tree")
    tree = tmp_path / "tree"
    assert [path for path, *_ in forced] == [tree / "branch" / "leaf", tree / "branch", tree, tmp_path]
