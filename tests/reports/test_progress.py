"""What a user sees while a run evolves."""

import io

import pytest
from helpers.births import COST, SPACE, task_of
from helpers.genotypes import INITIAL, ONE_CONVOLUTION
from rich.console import Console

from jaxevo.reports import progress
from jaxevo.search.evolution import EvolutionState
from jaxevo.search.in_flight import InFlight
from jaxevo.search.population import Individual, Population
from jaxevo.session.progress import Progress
from jaxevo.settings import Limits

FIRST = Individual(0, None, None, INITIAL, 0.125, 0.125, "w", "h", 1, COST)
BETTER = Individual(7, 0, "INSERT-CONVOLUTION", ONE_CONVOLUTION, 0.5, 0.5, "w", "h", 8, COST)


TO_100 = Limits(max_individuals=100)


def progressed(events, seconds, best=FIRST, limits=TO_100, compiling=1.0, training=3.0, flops=0):
    state = EvolutionState(events, events, 0.0, Population(), InFlight(), best, flops, "")
    return Progress(state, limits, events, seconds, compiling, training, SPACE, task_of((8, 8, 1)))


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal of 120 columns is sent."""
    sent = io.StringIO()
    console = Console(file=sent, force_terminal=True, width=120, height=10)
    monkeypatch.setattr(progress, "Console", lambda: console)
    return sent


def test_a_line_tells_how_far_the_run_is(capsys):
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0, best=None))
        watcher.progressed(progressed(10, 20.0))
    first, best, *more = capsys.readouterr().out.splitlines()
    assert first == "0/100 individuals, 0/hour, compiling 25%"
    assert best == "  0:20  individual 0: 12.5%, layers 0, convolutions 0, skips 0, initial"
    assert more == []  # A line every five seconds at most, by the clock on the wall.


def test_a_line_tells_rate_share_of_compiling_and_time_left(capsys, monkeypatch):
    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0))
        watcher.progressed(progressed(10, 20.0))
        watcher.progressed(progressed(30, 40.0, compiling=9.0, training=1.0))
    lines = [line for line in capsys.readouterr().out.splitlines() if "/hour" in line]
    assert lines[1] == "10/100 individuals, 3:00 left, best validation 12.5%, 1,800/hour, compiling 25%"
    # 30 events in 40 seconds, 70 to go.
    assert lines[2] == "30/100 individuals, 1:33 left, best validation 12.5%, 2,700/hour, compiling 90%"


def test_the_time_left_is_that_of_the_limit_that_is_met_first(capsys):
    limits = Limits(max_individuals=1000, max_seconds=50.0)
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0, limits=limits))
    assert "0/1000 individuals, 0:50 left, " in capsys.readouterr().out


def test_flops_give_the_time_left_too(capsys, monkeypatch):
    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    limits = Limits(max_flops=5e6)
    with progress.watch() as watcher:
        watcher.progressed(progressed(0, 0.0, limits=limits))
        watcher.progressed(progressed(10, 20.0, limits=limits, flops=2_000_000))
    assert "10 individuals, 0:30 left, " in capsys.readouterr().out


def test_a_finish_tells_its_steps_and_the_time_left(capsys, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.watch() as watcher:
        watcher.finishing(100, 400)
        watcher.finishing(200, 400)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "training the best individual on: step 100/400"
    assert second == "training the best individual on: step 200/400, 1:00 left"  # The clock is asked three times.


def test_every_new_best_is_told_once_with_the_mutation_that_made_it(capsys):
    with progress.watch() as watcher:
        for events, best in ((1, FIRST), (2, FIRST), (8, BETTER), (9, BETTER)):
            watcher.progressed(progressed(events, 60.0 * events, best=best))
    told = [line for line in capsys.readouterr().out.splitlines() if "  individual" in line]
    assert told == [
        "  1:00  individual 0: 12.5%, layers 0, convolutions 0, skips 0, initial",
        "  8:00  individual 7: 50.0%, layers 1, convolutions 1, skips 0, child of 0 by INSERT-CONVOLUTION",
    ]


def test_a_terminal_gets_one_live_line_and_the_bests_above_it(terminal):
    with progress.watch() as watcher:
        watcher.notice("something to know")
        watcher.progressed(progressed(10, 20.0))
        watcher.progressed(progressed(30, 40.0, best=BETTER))
    text = terminal.getvalue()
    assert "something to know" in text
    assert text.count("individual 7: 50.0%, layers 1, convolutions 1, skips 0, child of 0 by INSERT-CONVOLUTION") == 1
    assert "30/100 individuals, " in text
    assert " left, best validation 50.0%, 2,700/hour, compiling 25%" in text
    assert "\x1b[2K" in text  # The line is written over.
