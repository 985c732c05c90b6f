"""What a user sees while a run evolves."""

import dataclasses
import io
import itertools
import re
from types import SimpleNamespace

import pytest
from helpers.births import COST, SPACE, task_of
from helpers.genotypes import INITIAL, ONE_CONVOLUTION
from rich.console import Console

from jaxevo.reports import live, pace, progress
from jaxevo.search.evolution import EvolutionState
from jaxevo.search.in_flight import InFlight
from jaxevo.search.population import Individual, Population
from jaxevo.session.progress import Progress
from jaxevo.settings import Limits

FIRST = Individual(0, None, None, INITIAL, 0.125, 0.125, "w", "h", 1, COST)
BETTER = Individual(7, 0, "INSERT-CONVOLUTION", ONE_CONVOLUTION, 0.5, 0.5, "w", "h", 8, COST)


TO_100 = Limits(max_individuals=100)


def ten_seconds_a_look(monkeypatch):
    """Lets ten seconds pass between two looks at the clock, for these modules alone."""
    clock = SimpleNamespace(monotonic=itertools.count(0, 10).__next__)
    for module in (pace, progress):
        monkeypatch.setattr(module, "time", clock)


def progressed(events, seconds, best=FIRST, limits=TO_100, compiling=1.0, training=3.0, flops=0, living=(), busy=2):
    state = EvolutionState(events, events, 0.0, Population(living), InFlight(), best, flops, "")
    return Progress(state, limits, events, seconds, compiling, training, SPACE, task_of((8, 8, 1)), 2, busy)


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal of 120 columns is sent."""
    sent = Screen()
    monkeypatch.setenv("TERM", "xterm")
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "Console", lambda: Console(file=sent, force_terminal=True, width=120, height=10))
    return sent


@pytest.fixture
def always(monkeypatch):
    """Updates the view at every progress."""
    monkeypatch.setattr(live, "_SECONDS", 0.0)


def test_a_line_tells_how_far_the_run_is(capsys):
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0, best=None))
        watcher.progressed(progressed(10, 20.0))
    first, best, *more = capsys.readouterr().out.splitlines()
    assert first == "0/100 individuals, 0/hour, 2 of 2 lanes busy, compiling 25%"
    assert best == "  0:20  individual 0: 12.5%, layers 0, convolutions 0, skips 0, initial"
    assert more == []  # A line every five seconds at most, by the clock on the wall.


def test_a_line_tells_rate_share_of_compiling_and_time_left(capsys, monkeypatch):
    ten_seconds_a_look(monkeypatch)
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0))
        watcher.progressed(progressed(10, 20.0))
        watcher.progressed(progressed(30, 40.0, compiling=9.0, training=1.0))
    lines = [line for line in capsys.readouterr().out.splitlines() if "/hour" in line]
    assert lines[1] == (
        "10/100 individuals, 3 min 00 s left, best validation 12.5%, 1,800/hour, 2 of 2 lanes busy, compiling 25%"
    )
    # 30 events in 40 seconds, 70 to go.
    assert lines[2] == (
        "30/100 individuals, 1 min 33 s left, best validation 12.5%, 2,700/hour, 2 of 2 lanes busy, compiling 90%"
    )


def test_the_time_left_is_that_of_the_limit_that_is_met_first(capsys):
    limits = Limits(max_individuals=1000, max_seconds=50.0)
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0, limits=limits))
    assert "0/1000 individuals, 50 s left, " in capsys.readouterr().out


def test_flops_give_the_time_left_too(capsys, monkeypatch):
    ten_seconds_a_look(monkeypatch)
    limits = Limits(max_flops=5e6)
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0, limits=limits))
        watcher.progressed(progressed(10, 20.0, limits=limits, flops=2_000_000))
    assert "10 individuals, 30 s left, " in capsys.readouterr().out


def test_a_finish_tells_its_steps_and_the_time_left(capsys, monkeypatch):
    ten_seconds_a_look(monkeypatch)
    with progress.watch() as watcher:
        watcher.finishing(100, 400)
        watcher.finishing(200, 400)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "training the best individual on: step 100/400"
    assert second == "training the best individual on: step 200/400, 1 min 00 s left"


def test_the_time_left_of_each_finish_of_an_ensemble_is_its_own(monkeypatch):
    ten_seconds_a_look(monkeypatch)
    speed = pace.Pace()
    assert [speed.finish_left(step, 400) for step in (0, 100, 200)] == [None, 30.0, 20.0]
    assert [speed.finish_left(step, 400) for step in (0, 100, 200)] == [None, 30.0, 20.0]
    assert [speed.finish_left(step, 400) for step in (100, 200)] == [None, 20.0]


def test_every_new_best_is_told_once_with_the_mutation_that_made_it(capsys):
    with progress.watch() as watcher:
        for events, best in ((1, FIRST), (2, FIRST), (8, BETTER), (9, BETTER)):
            watcher.progressed(progressed(events, 60.0 * events, best=best))
    told = [line for line in capsys.readouterr().out.splitlines() if "  individual" in line]
    assert told == [
        "  1:00  individual 0: 12.5%, layers 0, convolutions 0, skips 0, initial",
        "  8:00  individual 7: 50.0%, layers 1, convolutions 1, skips 0, child of 0 by INSERT-CONVOLUTION",
    ]


def test_a_terminal_gets_a_view_that_is_written_over_and_the_bests_above_it(terminal, always):
    living = [dataclasses.replace(FIRST, id=number, accuracy=0.1 * number) for number in range(1, 9)]
    failed = dataclasses.replace(FIRST, id=9, accuracy=0.0, failure="the loss is not finite")
    with progress.watch() as watcher:
        watcher.announce("evolving digits with seed 0")
        watcher.notice("something to know")
        watcher.progressed(progressed(10, 20.0))
        watcher.progressed(progressed(30, 40.0, best=BETTER, living=[*living, failed], busy=1))
    text = terminal.getvalue()
    assert text.index("evolving digits with seed 0") < text.index("something to know")
    assert text.count("individual 7: 50.0%, layers 1, convolutions 1, skips 0, child of 0 by INSERT-CONVOLUTION") == 1
    assert " 30% 1 min 10 s left" in plain(text)
    assert "30/100 individuals, 2,700/hour, 1 of 2 lanes busy, compiling 25%" in text
    bars = " ".join("\u2588" * 4)
    assert f"population 9: 10.0% {bars}  {bars} 80.0%, median 45.0%" in text
    drawing = SPACE.drawing(ONE_CONVOLUTION, task_of((8, 8, 1)))
    assert f"best 50.0%, individual 7: {live.architecture_text(drawing)}" in text
    assert "\x1b[2K" in text  # The view is written over.


def test_a_view_is_updated_now_and_then_only(terminal):
    with progress.watch() as watcher:
        for events in range(200):
            watcher.progressed(progressed(events, float(events)))
    assert terminal.getvalue().count("lanes busy") < 5


def test_a_finish_is_a_bar(terminal, always, monkeypatch):
    ten_seconds_a_look(monkeypatch)
    with progress.watch() as watcher:
        watcher.finishing(100, 400)
        watcher.finishing(200, 400)
    text = plain(terminal.getvalue())
    assert "training the best one on, step 100/400" in text
    assert "step 200/400" in text and " 50% " in text and " left" in text


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("CI", "true")])
def test_where_lines_cannot_be_written_over_there_are_plain_lines(name, value, terminal, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    with progress.watch() as watcher:
        watcher.announce("evolving digits with seed 0")
        watcher.progressed(progressed(10, 20.0))
    assert terminal.getvalue() == ""
    assert capsys.readouterr().out.startswith("evolving digits with seed 0\n  0:20  individual 0: 12.5%")


def test_a_log_is_plain_even_if_colour_is_forced(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.watch() as watcher:
        watcher.progressed(progressed(10, 20.0))
    assert "\x1b" not in capsys.readouterr().out


def test_colours_can_be_turned_off(terminal, always, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with progress.watch() as watcher:
        watcher.notice("something to know")
        watcher.progressed(progressed(10, 20.0))
    assert not re.search(r"\x1b\[[\d;]*3\d", terminal.getvalue())


def test_a_histogram_counts_from_the_least_to_the_largest():
    assert live.histogram_text([0.5]) == " " * 8 + "\u2588" + " " * 7
    assert live.histogram_text([0.0] * 8 + [1.0]) == "\u2588" + " " * 14 + "\u2581"
    assert live.histogram_text([0.0, 1.0], " #") == "#" + " " * 14 + "#"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9.9, "9 s"), (65, "1 min 05 s"), (3 * 3600 + 120, "3 h 02 min"), (100 * 3600, "4 d 4 h")],
)
def test_the_time_left_has_hours_and_days(seconds, text):
    assert pace.duration_text(seconds) == text


def test_times_of_bests_have_hours():
    assert [pace.clock_text(seconds) for seconds in (5, 65, 3665)] == ["0:05", "1:05", "1:01:05"]


def test_the_time_left_follows_networks_that_grow(capsys):
    """Ten small networks take a second, the next five minutes each: the small ones are soon forgotten."""
    measured = pace.Pace()
    for events in range(11):
        measured.note(progressed(events, events / 10))
    for events in range(11, 17):
        measured.note(progressed(events, 300.0 * (events - 10)))
    assert measured.seconds_left(progressed(16, 1800.0)) == pytest.approx(84 * 300.0)


def test_the_first_networks_cost_too_little_to_tell_the_time_left():
    limits, measured = Limits(max_flops=1e12), pace.Pace()
    for events in range(1, 10):
        measured.note(progressed(events, float(events), limits=limits, flops=events * 1_000_000))
    assert measured.seconds_left(progressed(9, 9.0, limits=limits, flops=9_000_000)) is None
    measured.note(progressed(10, 20.0, limits=limits, flops=10**11))
    left = measured.seconds_left(progressed(10, 20.0, limits=limits, flops=10**11))
    assert 60 < left < 180


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
