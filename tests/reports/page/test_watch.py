"""The page of a run that goes on is written again until the run ends."""

import json
import re

import pytest
from helpers.simulated_runs import simulated_run

from jaxevo.reports.page import files
from jaxevo.storage.history import History
from jaxevo.storage.journal import Journal, Stop
from jaxevo.storage.lock import locked
from jaxevo.storage.workdir import Workdir


def data_of(file):
    return json.loads(re.search('id="data">(.*?)</script>', file.read_text(), re.DOTALL)[1])


def test_the_page_reloads_itself_until_the_session_ends(tmp_path, monkeypatch):
    path, file, live = simulated_run(tmp_path / "run", 20, stopped=False), tmp_path / "page.html", []

    def sleep(seconds):
        assert seconds > 0
        live.append(data_of(file)["live"])
        if len(live) == 2:
            with Journal(Workdir(path).journal) as journal:
                state = History(Workdir(path)).state
                journal.append([Stop(1, state.events, "max_individuals", state.fingerprint, 20.0)])

    monkeypatch.setattr(files.time, "sleep", sleep)
    written = []
    with locked(path):
        files.watch_run(path, file, written.append)
    assert live == [True, True]
    assert written == [20, 20, 20]
    assert data_of(file)["live"] is False
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".report")] == []


def test_the_page_of_a_killed_run_is_written_once(tmp_path, monkeypatch):
    path, file, written = simulated_run(tmp_path / "run", 20, stopped=False), tmp_path / "page.html", []
    monkeypatch.setattr(files.time, "sleep", None)
    files.watch_run(path, file, written.append)
    assert written == [20]
    assert data_of(file)["live"] is False


def test_a_page_that_is_watched_no_longer_does_not_reload(tmp_path, monkeypatch):
    path, file = simulated_run(tmp_path / "run", 12, stopped=False), tmp_path / "page.html"

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.time, "sleep", interrupt)
    with locked(path), pytest.raises(KeyboardInterrupt):
        files.watch_run(path, file, lambda events: None)
    assert data_of(file)["live"] is False
