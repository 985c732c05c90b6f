"""Runs logged to other tools: every event once, also over sessions; errors of a tool are a notice and no more."""

import importlib.util
import struct
from typing import Any, ClassVar

import pytest
from helpers import ladder_space
from helpers.simulated_runs import simulated_run

import jaxevo
from jaxevo.reports.trackers import tracking
from jaxevo.reports.trackers.tracker import Tracker
from jaxevo.reports.trackers.tracking import Tracking
from jaxevo.session.progress import Watcher

LADDER = {"preset": "paper", "population_size": 6, "mutations": "steps", "space": ladder_space.Ladder}


class Noting(Watcher):
    """Keeps the notices."""

    def __init__(self):
        self.notices = []

    def notice(self, text):
        self.notices.append(text)


class Keeping(Tracker):
    """Keeps all that it is given, or fails at an event."""

    opened: ClassVar[list[Any]] = []
    fails_at = None

    def __init__(self, workdir, settings):
        self.settings, self.numbers, self.pictures, self.results, self.closed = settings, {}, {}, [], False
        Keeping.opened.append(self)

    place = "here"

    def scalars(self, event, values):
        if event == self.fails_at:
            raise ConnectionError("the network is gone")
        assert event not in self.numbers
        self.numbers[event] = values

    def picture(self, event, name, image):
        assert (image.mode, name) == ("RGB", "best/network")
        self.pictures[event] = image.size

    def result(self, event, result, report):
        self.results.append((event, result["fingerprint"], report.read_text()[:15]))

    def close(self):
        self.closed = True


@pytest.fixture
def keeping(monkeypatch):
    monkeypatch.setitem(tracking._KINDS, "tensorboard", tracking._Kind("json", __name__, "Keeping"))
    monkeypatch.setattr(Keeping, "opened", [])
    return Keeping.opened


def test_every_event_is_logged_once_over_two_sessions_and_the_fingerprint_is_that_without(tmp_path, keeping):
    run = jaxevo.evolve(tmp_path / "run", max_individuals=9, log="tensorboard", **LADDER)
    longer = run.resume(max_individuals=15, log="tensorboard")
    first, second = keeping
    assert [list(first.numbers), list(second.numbers)] == [list(range(1, 10)), list(range(10, 16))]
    assert first.settings["population_size"] == 6
    assert first.closed and second.closed
    assert longer.fingerprint == jaxevo.evolve(tmp_path / "without", max_individuals=15, **LADDER).fingerprint
    assert [one.results for one in keeping] == [
        [(9, run.fingerprint, "<!doctype html>")],
        [(15, longer.fingerprint, "<!doctype html>")],
    ]
    history = longer.history
    for event, values in (first.numbers | second.numbers).items():
        so_far = history[history["event"] <= event]
        assert values["best/fitness"] == so_far["fitness"].max()
        assert values["told/accuracy"] == so_far["validation_accuracy"].iloc[-1]
        assert values["run/individuals"] == event
        alive = so_far[so_far["death"].isna() | (so_far["death"] >= event)]
        assert values["population/size"] == len(alive)
        assert values["population/mean_accuracy"] == pytest.approx(alive["validation_accuracy"].mean())


def test_a_picture_is_logged_of_every_new_best_and_failed_trainings_have_no_numbers(tmp_path, keeping):
    path = tmp_path / "run"
    with Tracking(Watcher(), path, "tensorboard") as watcher:
        simulated_run(path, 40, watcher=watcher)
    (tracker,) = keeping
    history = jaxevo.open(path).history
    best, new = (0.0, 0), []
    for row in history[history["failure"].isna()].itertuples():
        if (row.fitness, -row.id) > best:  # Of equals, the one born first.
            best = (row.fitness, -row.id)
            new.append(row.event)
    assert list(tracker.pictures) == new
    failed = history[history["failure"].notna()]["event"]
    assert len(failed) and all("told/fitness" not in tracker.numbers[event] for event in failed)


def test_an_error_of_a_tracker_is_one_notice_and_the_run_goes_on(tmp_path, keeping, monkeypatch):
    monkeypatch.setattr(Keeping, "fails_at", 5)
    noting = Noting()
    with Tracking(noting, tmp_path / "run", "tensorboard") as watcher:
        simulated_run(tmp_path / "run", 20, watcher=watcher)
    assert noting.notices == [
        "log: tensorboard failed (ConnectionError: the network is gone). The run goes on, and logs no more to it"
    ]
    assert list(keeping[0].numbers) == [1, 2, 3, 4]
    assert jaxevo.open(tmp_path / "run").events == 20


def test_networks_that_cannot_be_drawn_are_one_notice_and_the_run_goes_on(tmp_path, keeping, monkeypatch):
    def no_font(*_):
        raise ImportError("The _imagingft C module is not installed")

    monkeypatch.setattr(tracking, "network_image", no_font)
    noting = Noting()
    with Tracking(noting, tmp_path / "run", "tensorboard") as watcher:
        simulated_run(tmp_path / "run", 20, watcher=watcher)
    [notice] = noting.notices
    assert notice.startswith("log: networks cannot be drawn, and no picture is logged: The _imagingft")
    assert list(keeping[0].numbers) == list(range(1, 21))
    assert keeping[0].pictures == {}


def test_a_tracker_that_cannot_be_opened_is_one_notice_too(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking._KINDS, "wandb", tracking._Kind("json", "no_such_module", ""))
    noting = Noting()
    with Tracking(noting, tmp_path / "run", "wandb") as watcher:
        simulated_run(tmp_path / "run", 20, watcher=watcher)
    assert len(noting.notices) == 1
    assert noting.notices[0].startswith("log: wandb failed (ModuleNotFoundError")


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_without_its_package_a_sentence_names_the_extra_before_the_run_begins(tmp_path, monkeypatch, name, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one: None if one == package else found(one))
    with pytest.raises(ValueError, match=f"log is '{name}', but {package} is not installed: pip install 'jaxevo"):
        jaxevo.evolve(tmp_path / "run", log=name, max_individuals=3, **LADDER)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("log", ["mlflow", "tensorboard wandb", "", "wandb,"])
def test_unknown_tools_are_refused(log):
    with pytest.raises(ValueError, match=f"log is '{log}', but must be one of tensorboard, wandb, or several"):
        jaxevo.Execution(log=log)


def records(folder):
    """Yields the events of TensorBoard's files: length, its checksum, bytes, their checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_tensorboard_files_hold_numbers_pictures_and_the_result(tmp_path):
    run = jaxevo.evolve(tmp_path / "run", max_individuals=6, log="tensorboard", **LADDER)
    run.resume(max_individuals=9, log="tensorboard")
    scalars, images, texts = {}, [], {}
    for event in records(tmp_path / "run" / "tensorboard"):
        for value in event.summary.value:
            if value.HasField("image"):
                images.append(value.image.encoded_image_string[:4])
            elif value.HasField("simple_value"):
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
            else:
                texts.setdefault(value.tag.removesuffix("/text_summary"), []).append(str(value.tensor))
    accuracies = jaxevo.open(tmp_path / "run").history["validation_accuracy"]
    assert scalars["told/accuracy"] == [(event, pytest.approx(one)) for event, one in enumerate(accuracies, 1)]
    assert images and set(images) == {b"\x89PNG"}
    assert len(texts["settings"]) == 1
    assert ["report.html" in text for text in texts["result"]] == [True, True]


# wandb's own warnings; `silent` does not cover them.
@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_its_folder_offline_and_both_sessions_are_one_run(tmp_path, monkeypatch, capfd):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    # Nothing of the user's is read or written.
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    run = jaxevo.evolve(tmp_path / "run", max_individuals=6, log="wandb", **LADDER)
    run.resume(max_individuals=9, log="wandb")
    wandb.teardown()
    folders = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    # offline-run-TIME-ID, and wandb adds -1 where both sessions began within the same second.
    assert len({folder.name.split("-")[3] for folder in folders}) == 1
    assert f"logging to wandb: wandb sync {folders[0]}" in capfd.readouterr().out
    for folder in folders:
        (written,) = folder.glob("*.wandb")
        content = written.read_bytes()
        assert b"told/accuracy" in content
        assert b"report.html" in content
        assert list((folder / "files" / "media" / "images" / "best").glob("network_*.png"))
