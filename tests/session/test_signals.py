"""Signals that ask a process to stop: none is lost, whatever the process does at that moment."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

import pytest
from helpers.simulated import manifest_of
from helpers.tiny_runs import journal_lines, run_arguments, start

import jaxevo as package
from jaxevo.doors.opening import built_in
from jaxevo.reports.verify import verify_run
from jaxevo.session.progress import INTERRUPTED, Watcher
from jaxevo.session.session import Session
from jaxevo.settings import Limits, Settings
from jaxevo.signals import stoppable, wish_to_stop
from jaxevo.storage.journal import Journal, Stop, read_journal
from jaxevo.storage.stored_run import RunWriter, StoredRun
from jaxevo.storage.workdir import Workdir

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_raised_where_nobody_asks_for_it(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stoppable():
        send(number)
        time.sleep(5)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_where_somebody_asks_for_it(number):
    with wish_to_stop() as wished:
        assert not wished()
        send(number)
        send(number)  # As `timeout` does: to the process and to its group.
        assert wished()


def test_a_second_wish_of_the_user_is_raised(monkeypatch):
    with pytest.raises(KeyboardInterrupt), wish_to_stop() as wished:
        send(signal.SIGINT)
        assert wished()
        time.sleep(1.1)
        send(signal.SIGINT)
        time.sleep(5)


def test_in_other_threads_the_signals_stay_the_callers():
    before, found = signal.getsignal(signal.SIGINT), []

    def work():
        with stoppable(), wish_to_stop() as wished:
            found.append((wished(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, before)]


def script(text, *arguments, timeout=60):
    """Runs a program; returns how it ended."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.parametrize("context", ["stoppable()", "stubborn()"])
def test_a_signal_during_garbage_collection_is_not_lost(context):
    """JAX has a function called at each collection; what a handler raises there Python can only print."""
    ended = script(
        """
        import contextlib, gc, os, signal, sys, time
        from jaxevo.signals import stoppable, wish_to_stop

        @contextlib.contextmanager
        def stubborn():  # Its user waits no longer.
            with wish_to_stop():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1.1)
                yield

        def collect(phase, info):
            if sent == []:
                sent.append(phase)
                os.kill(os.getpid(), signal.SIGINT)
                sum(range(1000))

        sent = []
        with eval(sys.argv[1]):
            try:
                gc.callbacks.append(collect)
                gc.collect()
                time.sleep(20)
                print("went on")
            except KeyboardInterrupt:
                print("stopped")
        """,
        context,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped\n", "")


def test_a_signal_during_the_first_imports_ends_without_a_traceback():
    ended = script(
        """
        import os, signal, sys

        class Signalling:
            def find_spec(self, name, path=None, target=None):
                if name == "rich":
                    os.kill(os.getpid(), signal.SIGINT)

        sys.meta_path.insert(0, Signalling())
        from jaxevo.__main__ import main
        sys.exit(main())
        """,
        "show",
        "nowhere",
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


LOADING = """
    import os, signal, sys, time
    from jaxevo.environment import prepare_process
    assert prepare_process()
    from jaxevo.session import run

    def load(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)

    run.load = run.load_run_data = load
    from jaxevo.__main__ import main
    sys.exit(main())
"""


def test_a_signal_while_images_are_loaded_ends_with_a_sentence(tmp_path):
    path = tmp_path / "run"
    ended = script(LOADING, *run_arguments(path, 5))
    assert (ended.returncode, ended.stderr) == (130, "")
    assert ended.stdout.splitlines()[-1] == "Stopped before the run began."
    assert not path.exists()


def test_a_signal_while_a_run_is_taken_up_again_says_how_to_go_on(tmp_path):
    path = tmp_path / "my run"
    begun = subprocess.run([sys.executable, "-m", "jaxevo", *run_arguments(path, 3)], capture_output=True, check=False)
    assert begun.returncode == 0, begun.stderr
    ended = script(LOADING, "resume", path, "--max-individuals", 5)
    assert (ended.returncode, ended.stderr) == (130, "")
    # The journal does not hold the new limit yet.
    assert ended.stdout.splitlines()[-1].endswith(f"To resume: jaxevo resume '{path}' --max-individuals 5")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_run_stops_cleanly_and_says_how_to_go_on(tmp_path, number):
    path = tmp_path / "run"
    command = [sys.executable, "-m", "jaxevo", *run_arguments(path, 5_000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (path / "journal.jsonl").exists() or not journal_lines(path, "record")[3:]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert output.splitlines()[-1].endswith(f"To resume: jaxevo resume {path}")
    (stop,) = journal_lines(path, "stop")
    assert stop["reason"] == "interrupted"
    run = package.open(path)
    assert (run.events, run.result) == (stop["events"], {})
    # The fingerprint of the end too, whether or not evolution had been asked for the births that follow.
    assert verify_run(path, None, lambda _: None) == []
    common = min(run.events, 16)
    undisturbed = start(tmp_path / "undisturbed", common).progress.state.fingerprint
    assert package.open(path, common).fingerprint == undisturbed


def test_a_signal_during_the_last_event_ends_the_session_before_a_finish(tmp_path):
    class Last(Watcher):
        def progressed(self, progress):
            if progress.state.events == 4:
                send(signal.SIGTERM)

    ended = start(tmp_path / "run", 4, watcher=Last())
    assert ended.stop_reason == INTERRUPTED
    [stop] = read_journal(tmp_path / "run" / "journal.jsonl").stops
    assert (stop.events, stop.reason) == (4, "max_individuals")


def test_an_impatient_user_leaves_the_end_of_the_session_in_the_journal(tmp_path):
    """Else the trainings that were dropped would count as deaths of the process."""

    def close():
        raise KeyboardInterrupt

    state = SimpleNamespace(events=3, fingerprint="f")
    loop = SimpleNamespace(
        progress=lambda: SimpleNamespace(state=state, session_seconds=1.0), keep=lambda records: None
    )
    path = tmp_path / "journal.jsonl"
    run = StoredRun(Workdir(tmp_path), manifest_of(Settings(), Limits()), built_in(Settings()))
    session = Session(run, dataset=None, execution=None, watcher=Watcher())
    with RunWriter(run, events_a_snapshot=50) as writer, pytest.raises(KeyboardInterrupt):
        session._stop("interrupted", loop, SimpleNamespace(close=close), writer)
    assert read_journal(path).stops == (Stop(1, 3, "interrupted", "f", 1.0),)


@pytest.mark.parametrize("when", ["written", "forced"])
def test_nothing_follows_a_line_whose_writing_was_interrupted(tmp_path, monkeypatch, when):
    path = tmp_path / "journal.jsonl"
    fsync = os.fsync
    with Journal(path) as journal:
        journal.append([Stop(1, 1, "a", "", 0.0)])
        before = path.read_bytes()

        def interrupted(descriptor):
            if when == "forced":
                fsync(descriptor)
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append([Stop(2, 2, "b", "", 0.0)])
        monkeypatch.undo()
        assert path.read_bytes() == before
        journal.append([Stop(3, 3, "c", "", 0.0)])
    assert [stop.session for stop in read_journal(path).stops] == [1, 3]
