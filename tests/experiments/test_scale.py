"""The scale experiment: simulated lanes, the fit of their times, the host loop around them, and the printed tables."""

import contextlib
import re

import numpy as np
import pytest
from helpers.births import birth_of
from helpers.tiny_runs import rewrite_journal, start

import jaxevo
from experiments.benchmarks.scale.__main__ import main
from experiments.benchmarks.scale.durations import Durations, fit, fit_times
from experiments.benchmarks.scale.executor import SimulatedExecutor, simulated_fitness, simulated_outcome
from experiments.benchmarks.scale.idle import Window, idle_share
from experiments.benchmarks.scale.scenarios import DIGITS, FITTED, manifest_of
from experiments.benchmarks.scale.throughput import Load, measure_here
from experiments.benchmarks.scale.workload import evolved
from jaxevo.doors.opening import built_in
from jaxevo.search.evolution import evolution
from jaxevo.session.loop import HostLoop
from jaxevo.session.progress import Watcher
from jaxevo.settings import Limits, Settings
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.storage.journal import read_journal
from jaxevo.storage.stored_run import RunWriter, StoredRun
from jaxevo.storage.workdir import Workdir

SETTINGS = Settings(population_size=24, num_workers=12, train_steps=300)
LEVEL = Durations(floor=1.0, compile_seconds=0.0, rate=1e30)


def births(*due):
    return [birth_of(number, Genotype(0.1), due=moment, flops=100) for number, moment in enumerate(due)]


def executor(lanes, durations=LEVEL, sigma=0.0, handed=1):
    return SimulatedExecutor(lanes, durations, sigma, handed=handed)


def ids(records):
    return [record.outcome.id for record in records]


# Simulated lanes.


def test_lanes_take_births_in_due_order_one_at_a_time():
    simulated = executor(lanes=1)
    simulated.submit(births(3.0, 1.0, 2.0))
    order = [ids(simulated.finished(0)) for _ in range(4)]
    assert order == [[1], [2], [0], []]
    assert simulated.now == 3.0
    assert simulated.waited == 0.0


def test_lanes_train_at_once_and_those_with_nothing_to_train_wait():
    simulated = executor(lanes=3)
    simulated.submit(births(1.0, 2.0))
    assert ids(simulated.finished(0) + simulated.finished(0)) == [0, 1]
    assert simulated.now == 1.0
    assert simulated.waited == 1.0


def test_a_training_takes_the_floor_and_its_flops_and_the_first_of_an_architecture_compiles():
    simulated = executor(1, Durations(floor=1.0, compile_seconds=10.0, rate=50.0))
    simulated.submit(births(1.0, 2.0))
    first, second = simulated.finished(0) + simulated.finished(0)
    assert simulated.trained == {0: 13.0, 1: 3.0}
    assert (first.compile_seconds, second.compile_seconds) == (10.0, 0.0)


def test_what_finishes_while_the_host_is_busy_is_handed_over_at_once():
    simulated = executor(lanes=2, handed=3)
    simulated.submit(births(1.0, 2.0, 3.0, 4.0, 5.0))
    assert [len(simulated.finished(0)) for _ in range(3)] == [3, 2, 0]


def test_noise_belongs_to_the_birth_and_has_the_deviation_asked_for():
    simulated = executor(lanes=500, sigma=0.3)
    simulated.submit(births(*range(2000)))
    while simulated.finished(0):
        pass
    logarithms = np.log(list(simulated.trained.values()))
    assert abs(logarithms.mean()) < 0.03
    assert logarithms.std() == pytest.approx(0.3, rel=0.1)
    alone = executor(lanes=1, sigma=0.3)
    alone.submit(births(1.0))
    alone.finished(0)
    assert alone.trained[0] == simulated.trained[0]


def test_fitness_rewards_depth_and_a_fitting_learning_rate():
    birth = births(1.0)[0]
    assert simulated_outcome(birth, 1) == simulated_outcome(birth, 1)
    assert 0 <= simulated_outcome(birth, 1).accuracy <= 1
    assert simulated_fitness(Genotype(0.1), 0.5) > simulated_fitness(Genotype(100.0), 0.5)
    layers = [evolved_layers(generations) for generations in (1, 8)]
    assert layers[0] < layers[1]


def evolved_layers(generations):
    algorithm = evolution(SETTINGS, built_in(SETTINGS), DIGITS)
    state = algorithm.init()
    while state.events < generations * SETTINGS.population_size:
        state, _ = algorithm.ask(state)
        state = algorithm.tell(state, simulated_outcome(state.in_flight[0], 0))
    return sum(len(individual.genotype.layers) for individual in state.population)


# The fit.


def test_a_fit_finds_what_the_times_were_made_of():
    rng = np.random.default_rng(0)
    flops = rng.uniform(1e8, 1e10, 3000)
    new = rng.random(3000) < 0.3
    times = (2.0 + flops / 1e9) * np.exp(0.1 * rng.standard_normal(3000))
    found = fit_times(flops, times, np.where(new, 4.0, 0.0))
    assert found.durations.floor == pytest.approx(2.0, rel=0.1)
    assert found.durations.rate == pytest.approx(1e9, rel=0.1)
    assert found.durations.compile_seconds == pytest.approx(4.0)
    assert found.sigma == pytest.approx(0.1, rel=0.1)
    assert found.share_new == pytest.approx(0.3, abs=0.05)


def test_times_that_do_not_grow_with_flops_are_refused():
    with pytest.raises(ValueError, match="must be above 0"):
        fit_times(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0]), np.zeros(3))


def test_a_run_can_be_fitted(tmp_path):
    start(tmp_path / "run", 12)
    history = jaxevo.open(tmp_path / "run").history
    flops = dict(zip(history.id, history.flops, strict=True))
    assert len(set(flops.values())) > 1

    def retime(lines):
        for line in lines:
            if line["kind"] == "record" and line["outcome"]["id"] in flops:
                line["train_seconds"] = 2.0 + flops[line["outcome"]["id"]] / 1e6

    rewrite_journal(tmp_path / "run", retime)
    found = fit(tmp_path / "run")
    assert found.individuals == 12
    assert found.durations.floor == pytest.approx(2.0)
    assert found.durations.rate == pytest.approx(1e6)


# Waiting.


def test_lanes_never_wait_when_outcomes_come_in_virtual_order():
    even = [1.0] * 400
    assert idle_share(4, 8, even, even, Window(50, 300)) == 0.0


def test_with_one_birth_a_lane_lanes_wait_for_the_slowest():
    # Every other training takes twice as long, told one pair after the other: the quick lane waits half its time.
    assert idle_share(2, 2, [1.0] * 400, [1.0, 2.0] * 200, Window(100, 300)) == pytest.approx(0.25, abs=0.01)


def test_more_births_in_flight_never_leave_lanes_waiting_longer():
    workload = evolved(SETTINGS, DIGITS, 48, 240).drawn(4000, seed=0)
    virtual, seconds = workload.virtual_seconds(1.0, 2.0, 2e9).tolist(), workload.seconds(FITTED, 0.3, seed=1).tolist()
    shares = [idle_share(10, 10 * births, virtual, seconds, Window(500, 3000)) for births in (1, 2, 4, 8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.2
    assert shares[-1] < 0.01


def test_the_played_through_clock_agrees_with_the_host_loop_and_evolution(tmp_path):
    events, lanes = 400, 5
    load = Load(SETTINGS, DIGITS, lanes, FITTED, 0.3, events=0)
    with host_loop(load, tmp_path, events) as (loop, simulated):
        loop.until_stopped(lambda: False)
    workload = evolved(SETTINGS, DIGITS, 0, events + SETTINGS.virtual_workers)
    clock = SETTINGS.birth_overhead, SETTINGS.compile_overhead, SETTINGS.virtual_rate
    virtual = workload.virtual_seconds(*clock).tolist()
    seconds = [simulated.trained.get(number, 1.0) for number in range(events + SETTINGS.virtual_workers)]
    share = idle_share(lanes, SETTINGS.virtual_workers, virtual, seconds, Window(0, events))
    assert share == pytest.approx(simulated.waited / (lanes * simulated.now), rel=1e-9)
    assert share > 0


@contextlib.contextmanager
def host_loop(load, folder, events):
    workdir = Workdir(folder)
    limits = Limits(max_individuals=events)
    simulated = executor(load.lanes, load.durations, load.sigma)
    run = StoredRun(workdir, manifest_of(load.settings, load.task, limits), built_in(load.settings))
    with RunWriter(run, 50) as writer:
        yield HostLoop(run, limits, writer, simulated, Watcher()), simulated


# The host.


@pytest.mark.parametrize("wall_clock", [False, True])
def test_a_measured_run_is_the_same_every_time(wall_clock):
    settings = Settings(population_size=60, num_workers=24, train_steps=300, wall_clock=wall_clock)
    load = Load(settings, DIGITS, 6, FITTED, 0.3, events=120)
    one, other = measure_here(load), measure_here(load)
    for name in ("fingerprint", "idle_share", "writes_a_record", "layers"):
        assert getattr(one, name) == getattr(other, name)
    # One for the record, one for the attempt, where records come one by one.
    assert 0 < one.writes_a_record <= 2.2
    assert one.idle_share == 0 or not wall_clock
    assert min(one.journal_bytes, one.snapshot_bytes, one.events_a_second, one.memory) > 0


def test_many_outcomes_share_one_forced_write():
    settings = Settings(population_size=200, num_workers=80, train_steps=300)
    found = measure_here(Load(settings, DIGITS, 100, LEVEL, 0.3, events=200))
    assert found.writes_a_record < 0.3


def test_the_journal_of_a_simulated_run_reads_as_any_other(tmp_path):
    with host_loop(Load(SETTINGS, DIGITS, 5, FITTED, 0.3, events=0), tmp_path, 100) as (loop, _):
        loop.until_stopped(lambda: False)
    records = read_journal(tmp_path / "journal.jsonl").records
    assert len(records) >= 100
    assert loop.progress().state.events == 100


# The tables.


@pytest.mark.slow
def test_the_quick_form_prints_every_table(capsys):
    assert main(["--quick"]) == 0
    text = capsys.readouterr().out
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert len(headings) == 4
    tables = [section.strip().splitlines()[2:] for section in text.split("## ")[1:]]
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
        assert len(lines) >= 3
    assert [line.split("|")[3].strip() for line in tables[0][2:]] == ["virtual", "wall clock"]
