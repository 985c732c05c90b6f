"""What is compiled, and what is not: once an architecture, in memory within a bound and on disk across runs."""

import concurrent.futures
import dataclasses
import gc
import itertools
import json
import subprocess
import sys
import textwrap
import threading
import weakref

import chex
import jax
import numpy as np
import pytest
from helpers.births import birth_of, task_of
from helpers.compile_log import compilations
from helpers.genotypes import BN_RELU, LINEAR, convolution, one_to_one
from helpers.tiny_runs import start as start_run

import jaxevo
from jaxevo.data.dataset import make_dataset
from jaxevo.execution.lane import Lane
from jaxevo.networks import compilation, programs
from jaxevo.networks.batches import BATCHES_DRAWN, plan_training, put_images
from jaxevo.networks.compilation import Compiler
from jaxevo.networks.devices import Devices
from jaxevo.networks.schedules import learning_rates
from jaxevo.networks.trainer import Trainer
from jaxevo.networks.training import start
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.large_scale import mutation
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.inheritance import first_variables
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

SHAPE = (6, 5, 1)
MUTATIONS = {one.name: one.apply for one in mutation.MUTATIONS}
SETTINGS = Settings(train_steps=4, batch_size=6, evaluation_batch_size=16)
NETWORK = Genotype(0.1, (convolution(1, 2, activation=BN_RELU),))


def never():
    return False


@pytest.fixture(scope="module")
def dataset():
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (150, *SHAPE), np.uint8)
    labels = np.concatenate([generator.permutation(np.arange(count) % 3) for count in (110, 40)])
    return make_dataset("random", (images[:110], labels[:110]), (images[110:], labels[110:]))


@pytest.fixture
def device():
    return jax.local_devices()[0]


@pytest.fixture
def devices(device):
    return Devices([device])


@pytest.fixture
def compiler(dataset, devices):
    return Compiler(SETTINGS, dataset, devices)


def compiled_of(genotype):
    return architecture(genotype, SHAPE)


# A known architecture compiles nothing.


def child_by(name, genotype):
    return MUTATIONS[name](np.random.default_rng(0), genotype, task_of(SHAPE))


def inserted_and_removed(genotype):
    """Returns a genotype that came back: a layer that grew in its middle is removed again."""
    grown = child_by("INSERT-CONVOLUTION", genotype)
    generator = np.random.default_rng(0)
    shrunk = (MUTATIONS["REMOVE-CONVOLUTION"](generator, grown, task_of(SHAPE)) for _ in range(50))
    return next(child for child in shrunk if child.layers == genotype.layers)


KNOWN = {
    "ALTER-LEARNING-RATE": child_by("ALTER-LEARNING-RATE", NETWORK),
    "IDENTITY": child_by("IDENTITY", NETWORK),
    "RESET-WEIGHTS": child_by("RESET-WEIGHTS", NETWORK),
    "a return": inserted_and_removed(NETWORK),
    "a sibling with other ids": Genotype(0.3, (dataclasses.replace(NETWORK.layers[0], id=5),)),
    "a linear identity": dataclasses.replace(NETWORK, layers=(one_to_one(4, LINEAR), *NETWORK.layers)),
}


def test_a_birth_of_a_known_architecture_compiles_nothing(dataset, devices, tmp_path):
    """Nothing at all: neither its training and evaluation, nor the arrays, plans and weights around them."""
    lane = Lane(Trainer(SETTINGS, dataset, devices), Workdir(tmp_path), Execution.checkpoint_seconds)
    with compilations() as compiled:
        parent = lane.train(birth_of(0, NETWORK, SHAPE), 1, 1, never).outcome
    assert parent.failure is None
    assert compiled != []
    for number, (name, genotype) in enumerate(KNOWN.items(), start=1):
        with compilations() as compiled:
            inherits = None if name == "RESET-WEIGHTS" else (NETWORK, parent)
            record = lane.train(birth_of(number, genotype, SHAPE, inherits), 1, 1, never)
        assert record.outcome.failure is None
        assert compiled == [], f"{name} compiled"
        assert record.compile_seconds == 0


def test_only_what_computes_something_else_has_other_programs(compiler):
    known = compiler.programs(compiled_of(NETWORK))
    for genotype in KNOWN.values():
        assert compiler.programs(compiled_of(genotype)) is known
    wider = Genotype(0.1, (convolution(1, 3, activation=BN_RELU),))
    assert compiler.programs(compiled_of(wider)) is not known


def rates_of(settings, peak):
    return learning_rates("constant", peak, settings.train_steps)


def test_the_learning_rate_is_an_argument(dataset, device, compiler):
    programs = compiler.programs(compiled_of(NETWORK))
    variables = first_variables(0, 1, NETWORK, programs.shapes.variables, None)
    plan = jax.device_put(plan_training(0, 1, SETTINGS, dataset), device)
    images = put_images(dataset, device)
    moved = []
    with compilations() as compiled:
        for rate in (0.0, 0.01, 0.02):
            carry = jax.device_put(start(variables, programs.shapes), device)
            carry = programs.train(carry, images, plan, rates_of(SETTINGS, rate), 0, 1)
            kernel = np.asarray(carry.params["classifier"]["kernel"])
            moved.append(kernel - variables["params"]["classifier"]["kernel"])
    assert compiled == []
    assert not moved[0].any()
    assert moved[1].any()
    np.testing.assert_allclose(moved[2], 2 * moved[1], rtol=1e-3, atol=1e-6)


def test_one_call_a_chunk_as_on_accelerators_agrees_with_one_call_a_step(dataset, device, devices):
    # Several calls of the program that draws batches.
    settings = dataclasses.replace(SETTINGS, train_steps=2 * BATCHES_DRAWN + 4)

    def trained(compiler, *ends):
        programs = compiler.programs(compiled_of(NETWORK))
        carry = jax.device_put(
            start(first_variables(0, 1, NETWORK, programs.shapes.variables, None), programs.shapes), device
        )
        plan = jax.device_put(plan_training(0, 1, settings, dataset), device)
        for first, end in itertools.pairwise((0, *ends)):
            rates = learning_rates("cosine", 0.1, settings.train_steps)
            carry = programs.train(carry, put_images(dataset, device), plan, rates, first, end)
        return jax.device_get(carry)

    stepping = Compiler(settings, dataset, devices)
    chunked = Compiler(settings, dataset, devices, step_by_step=False)
    end = settings.train_steps
    chex.assert_trees_all_close(trained(chunked, end), trained(stepping, end), rtol=1e-3, atol=1e-5)
    # Where a call ends changes nothing, to the last bit.
    for either in (chunked, stepping):
        chex.assert_trees_all_equal(trained(either, 3, BATCHES_DRAWN + 3, end), trained(either, end))


def test_on_cpu_each_step_is_a_call(compiler, monkeypatch):
    """Inside a loop XLA's CPU backend takes 10 to 20 times as long for the gradients of convolutions."""

    def refuse(train_step, draw_batch, length):
        raise AssertionError("the steps of a training are compiled as a loop")

    monkeypatch.setattr(programs, "make_train_chunk", refuse)
    compiler.programs(compiled_of(NETWORK))


def test_validation_and_test_share_one_program(dataset, device, devices):
    trainer = Trainer(SETTINGS, dataset, devices)
    assert (len(trainer.validation), len(trainer.test)) == (1, 3)
    programs = trainer.programs(NETWORK)
    variables = jax.device_put(first_variables(0, 1, NETWORK, programs.shapes.variables, None), device)
    with compilations() as compiled:
        for batch in (*trainer.validation, *trainer.test):
            programs.evaluate(variables, trainer.images, batch, np.int32(0))
    assert compiled == []


def test_an_architecture_needs_two_programs(compiler):
    with compilations() as compiled:
        compiler.programs(compiled_of(NETWORK))
    assert len(compiled) == 2


def test_over_fifty_births_nothing_compiles_but_the_programs_of_new_architectures(tmp_path):
    with compilations() as compiled:
        start_run(tmp_path / "run", 50)
    run = jaxevo.open(tmp_path / "run")
    told = {architecture(run.individual(number).genotype, (8, 8, 1)) for number in range(50)}
    assert len(told) >= 10
    # Births in flight at the end may have been compiled ahead.
    in_flight = {birth.architecture for birth in History(Workdir(tmp_path / "run")).state.in_flight}
    # And the two that all share, which draw and normalise batches, and which this process may have had before.
    assert 2 * len(told) <= len(compiled) <= 2 * len(told | in_flight) + 2


def test_the_time_is_billed_once(compiler):
    known = compiled_of(NETWORK)
    programs = compiler.programs(known)
    assert programs.compile_seconds > 0
    compiler.programs(known)
    assert [compiler.bill(known) for _ in range(2)] == [programs.compile_seconds, 0]


# Threads, bounds and errors, without compiling.


class Compilations:
    """Stands in for what compiles: notes what is asked for, and holds or fails where it is told to."""

    def __init__(self):
        self.asked = []
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.error = None

    def __call__(self, compiled):
        self.asked.append(compiled)
        self.entered.set()
        assert self.go_on.wait(30)
        if self.error is not None:
            raise self.error
        return programs.Programs({}, None, 1, None, 0.5)


@pytest.fixture
def stand_in(monkeypatch):
    stand_in = Compilations()
    monkeypatch.setattr(programs.ProgramMaker, "make", lambda self, compiled: stand_in(compiled))
    return stand_in


def ask_at_once(compiler, compiled, stand_in, askers=4):
    """Returns the futures of several threads that ask for one architecture while it is being compiled."""
    stand_in.go_on.clear()
    stand_in.entered.clear()
    waiting = threading.Barrier(askers)

    def ask():
        waiting.wait()
        return compiler.programs(compiled)

    with concurrent.futures.ThreadPoolExecutor(askers) as pool:
        futures = [pool.submit(ask) for _ in range(askers)]
        assert stand_in.entered.wait(30)
        # The others must wait, and not return before there is something to return.
        done, _ = concurrent.futures.wait(futures, timeout=0.3)
        assert not done
        stand_in.go_on.set()
    return futures


def test_threads_that_ask_at_once_wait_for_one_compilation(compiler, stand_in):
    futures = ask_at_once(compiler, compiled_of(NETWORK), stand_in)
    assert len({id(future.result()) for future in futures}) == 1
    assert stand_in.asked == [compiled_of(NETWORK)]


def test_threads_that_ask_at_once_really_compile_once(compiler):
    with concurrent.futures.ThreadPoolExecutor(2) as pool, compilations() as compiled:
        one, other = pool.map(compiler.programs, 2 * [compiled_of(NETWORK)])
    assert one is other
    assert len(compiled) == 2


def test_different_architectures_compile_beside_each_other(compiler, stand_in):
    stand_in.go_on.clear()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(compiler.programs, compiled_of(NETWORK))
        assert stand_in.entered.wait(30)
        stand_in.entered.clear()
        second = pool.submit(compiler.programs, compiled_of(Genotype(0.1)))
        assert stand_in.entered.wait(30)
        stand_in.go_on.set()
    assert first.result() is not second.result()


def test_an_error_reaches_all_who_wait_and_the_next_call_tries_again(compiler, stand_in):
    stand_in.error = RuntimeError("RESOURCE_EXHAUSTED: out of memory")
    futures = ask_at_once(compiler, compiled_of(NETWORK), stand_in)
    assert [future.exception() for future in futures] == 4 * [stand_in.error]
    assert len(stand_in.asked) == 1
    assert not compiler.knows(compiled_of(NETWORK))
    stand_in.error = None
    assert compiler.programs(compiled_of(NETWORK)).compile_seconds == 0.5
    assert len(stand_in.asked) == 2


def test_an_architecture_is_known_once_its_compilation_began(compiler, stand_in):
    assert not compiler.knows(compiled_of(NETWORK))
    stand_in.go_on.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(compiler.programs, compiled_of(NETWORK))
        assert stand_in.entered.wait(30)
        assert compiler.knows(compiled_of(NETWORK))
        stand_in.go_on.set()


def test_the_least_recently_used_architecture_is_forgotten(dataset, devices, stand_in):
    compiler = Compiler(SETTINGS, dataset, devices, capacity=3)
    wide = [compiled_of(Genotype(0.1, (convolution(1, factor),))) for factor in range(1, 6)]
    for compiled in (*wide[:3], wide[0], wide[3]):
        compiler.programs(compiled)
    assert [compiler.knows(compiled) for compiled in wide] == [True, False, True, True, False]
    assert len(stand_in.asked) == 4
    compiler.programs(wide[0])
    assert len(stand_in.asked) == 4
    compiler.programs(wide[1])
    assert len(stand_in.asked) == 5
    assert [compiler.knows(compiled) for compiled in wide] == [True, True, False, True, False]


def test_programs_in_memory_are_bounded_by_the_bytes_of_their_code(dataset, devices, stand_in, monkeypatch):
    """On a TPU they lie in the memory that networks need."""
    monkeypatch.setattr(programs.Programs, "code_bytes", 400 * 2**20)
    compiler = Compiler(SETTINGS, dataset, devices)
    wide = [compiled_of(Genotype(0.1, (convolution(1, factor),))) for factor in range(1, 5)]
    for compiled in wide:
        compiler.programs(compiled)
    assert [compiler.knows(compiled) for compiled in wide] == [False, False, True, True]


def test_a_program_that_takes_more_than_all_memory_for_code_is_kept_until_the_next(
    dataset, devices, stand_in, monkeypatch
):
    monkeypatch.setattr(programs.Programs, "code_bytes", 2 * 2**30)
    compiler = Compiler(SETTINGS, dataset, devices)
    wide = [compiled_of(Genotype(0.1, (convolution(1, factor),))) for factor in range(1, 3)]
    compiler.programs(wide[0])
    assert compiler.has(wide[0])
    compiler.programs(wide[1])
    assert [compiler.knows(compiled) for compiled in wide] == [False, True]


def test_what_accelerators_never_run_is_not_compiled_for_them(dataset, devices, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the program that draws batches on CPU is compiled")

    monkeypatch.setattr(programs, "draw_batches", refuse)
    Compiler(SETTINGS, dataset, devices, step_by_step=False)
    with pytest.raises(AssertionError, match="draws batches"):
        Compiler(SETTINGS, dataset, devices)


def test_what_dropped_programs_leave_is_collected_once_there_are_as_many_as_are_held(dataset, devices, stand_in):
    compiler = Compiler(SETTINGS, dataset, devices, capacity=2)
    wide = [compiled_of(Genotype(0.1, (convolution(1, factor),))) for factor in range(1, 6)]
    left = []
    gc.collect()
    gc.disable()
    try:
        for compiled in wide:
            programs = compiler.programs(compiled)
            object.__setattr__(programs, "shapes", [programs])  # A cycle, as JAX leaves them.
            left.append(weakref.ref(programs))
            del programs
            if len(left) == 3:
                assert left[0]() is not None
    finally:
        gc.enable()
    assert [programs() is None for programs in left] == [True, True, False, False, False]


# Across processes.

SCRIPT = """
    import collections, json, pathlib, sys, warnings
    from jaxevo.environment import prepare_process
    assert prepare_process()
    import jax
    from jaxevo.networks.compilation import Compiler, use_persistent_cache
    from jaxevo.data import load
    from jaxevo.networks.devices import Devices
    from jaxevo.networks.trainer import Trainer
    from jaxevo.spaces.large_scale.architecture import architecture
    from jaxevo.spaces.large_scale.genotype import Genotype
    from jaxevo.settings import Settings

    events = collections.Counter()
    jax.monitoring.register_event_listener(lambda event, **details: events.update([event.split("/")[-1]]))
    use_persistent_cache(pathlib.Path(sys.argv[1]))
    dataset = load("digits")
    compiler = Compiler(Settings(train_steps=4), dataset, Devices(jax.local_devices()[:1]))
    compiler.programs(architecture(Genotype(0.1), dataset.image_shape))
    json.dump({name: events[name] for name in ("cache_hits", "cache_misses")}, sys.stdout)
"""


def run_script(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_another_process_compiles_nothing_again(tmp_path):
    folder = tmp_path / "made" / "executables"
    first, second = run_script(str(folder)), run_script(str(folder))
    # Drawing and normalising batches, training, evaluation: however fast they compile.
    assert (first["cache_hits"], first["cache_misses"]) == (0, 4)
    assert (second["cache_hits"], second["cache_misses"]) == (4, 0)


def test_the_folder_of_executables_is_bounded(tmp_path, monkeypatch):
    changes = {}
    monkeypatch.setattr(jax.config, "update", lambda name, value: changes.update({name: value}))
    compilation.use_persistent_cache(tmp_path / "executables")
    assert 0 < changes["jax_compilation_cache_max_size"] < 2**33
    assert changes["jax_persistent_cache_min_compile_time_secs"] == 0
    assert changes["jax_compilation_cache_dir"] == str(tmp_path / "executables")
