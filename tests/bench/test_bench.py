"""`jaxevo bench`: its ladder, its figures, its tables, and what ends it early. No test asserts a time."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import time

import jax
import pytest
from helpers.compile_log import compilations
from helpers.tiny_runs import command
from rich.console import Console

from jaxevo.bench import ladder, rungs
from jaxevo.bench.evolution import SETTINGS
from jaxevo.bench.extent import FULL, QUICK, Extent
from jaxevo.bench.part import Request, answer
from jaxevo.bench.report import print_sections
from jaxevo.bench.scaling import DEVICES_BATCH, powers_of_two
from jaxevo.bench.suite import SCHEMA_VERSION, Suite
from jaxevo.bench.timing import rates, seconds_each, spread
from jaxevo.cli.main import main
from jaxevo.cli.parse import parse
from jaxevo.environment.folders import cache_dir
from jaxevo.networks.compilation import Compiler, use_persistent_cache
from jaxevo.networks.devices import Devices
from jaxevo.networks.trainer import Trainer
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json
from jaxevo.spaces.large_scale.layer_types import Convolution

TINY = Extent(
    name="tiny",
    rungs=("linear", "conv 1", "ResNet-20 wide"),
    scaling_rungs=("linear",),
    batch_rungs=("linear", "ResNet-20 wide"),
    batch_sizes=(50, 128),
    repeats=2,
    window_seconds=0.02,
    rung_seconds=0.5,
    # No machine is so slow that it takes one cold sample, and none so fast that it measures the wide network.
    step_seconds=0.2,
    compile_repeats=2,
    compile_seconds=1e6,
    architectures_per_thread=1,
    matrix_seconds=0.005,
    array_mebibytes=4,
    individuals=6,
    evolution_repeats=1,
)
PROCESSES = ("device", "ladder", "batches", "compiling", "evolution", "lanes", "devices")
PARTS = (*PROCESSES, "memory")


class Listening:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.parts: list[str] = []

    def said(self, part: str, text: str) -> None:
        self.texts.append(f"{part}: {text}")

    def measured(self, part: str, document: dict) -> None:
        assert part in document
        self.parts.append(part)


# The ladder.


def costs() -> dict:
    dataset = ladder.images()
    return {
        name: cost(architecture(genotype, ladder.IMAGE_SHAPE), dataset.num_classes, ladder.settings().batch_size)
        for name, genotype in ladder.ladder().items()
    }


def test_the_ladder_rises_in_flops_and_its_genotypes_are_valid():
    flops = [one.forward_flops + one.backward_flops for one in costs().values()]
    assert flops == sorted(set(flops))
    for genotype in ladder.ladder().values():
        assert genotype_from_json(genotype.to_json()) == genotype


def test_the_names_of_the_ladder_say_how_many_convolutions_there_are():
    counts = {
        name: sum(isinstance(layer.operation, Convolution) for layer in genotype.layers)
        for name, genotype in ladder.ladder().items()
    }
    assert counts == {
        "linear": 0,
        "conv 1": 1,
        "conv 3": 3,
        "conv 6": 6,
        "conv 10": 10,
        "ResNet-20": 19,
        "ResNet-20 wide": 19,
    }


def test_the_residual_network_is_that_of_the_paper():
    compiled = architecture(ladder.ladder()["ResNet-20"], ladder.IMAGE_SHAPE)
    assert list(compiled.shapes[1:]) == 7 * [(32, 32, 16)] + 6 * [(16, 16, 32)] + 6 * [(8, 8, 64)]
    assert compiled.skips == tuple((point, point + 2) for point in range(1, 19, 2))
    assert costs()["ResNet-20"].parameters == pytest.approx(270_000, rel=0.01)  # He et al. 2016, table 6: 0.27 million.


def test_the_images_are_the_same_every_time():
    assert ladder.images().fingerprint == ladder.images().fingerprint
    assert ladder.images().image_shape == ladder.IMAGE_SHAPE


@pytest.mark.parametrize("extent", [FULL, QUICK, TINY])
def test_an_extent_names_rungs_in_their_order(extent):
    names = list(ladder.ladder())
    assert list(extent.rungs) == [name for name in names if name in extent.rungs]
    assert set(extent.scaling_rungs) <= set(names)


# Times.


def test_a_spread_is_a_median_and_a_range_and_a_rate_turns_it_over():
    seconds = spread([4.0, 1.0, 2.0])
    assert dataclasses.astuple(seconds) == (2.0, 1.0, 4.0, 3)
    assert dataclasses.astuple(rates(8.0, seconds)) == (4.0, 2.0, 8.0, 3)


def test_what_comes_first_is_not_among_the_samples():
    calls = []

    def work(count: int) -> None:
        calls.append(count)
        if len(calls) == 1:
            time.sleep(2.0)

    each = seconds_each(work, window_seconds=0.0, repeats=3)
    assert (len(calls), each.samples) == (5, 3)
    assert each.max < 2.0


def test_a_sample_has_no_more_units_than_are_planned():
    counts = []
    seconds_each(counts.append, window_seconds=60.0, repeats=1, most=8)
    assert max(counts) == 8


def test_numbers_of_lanes_double_up_to_the_last():
    assert [powers_of_two(most) for most in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


# Parts, in this process.


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Gives back, in the end, the cache that the other tests share."""
    shared = cache_dir() / "executables"
    monkeypatch.setenv("JAXEVO_CACHE_DIR", str(tmp_path / "cache"))
    yield
    rungs.reset_cache()
    use_persistent_cache(shared)


def test_cold_is_compiled_and_warm_is_read_from_disk(own_cache, tmp_path):
    trainer = Trainer(ladder.settings(), ladder.images(), Devices(jax.local_devices()[:1]))
    hits: list[str] = []
    jax.monitoring.register_event_listener(note := lambda name, **_: hits.append(name.rpartition("/")[2]))
    try:
        with compilations() as compiled:
            cold, warm = rungs._compile_seconds(TINY, trainer, Genotype(0.1), tmp_path / "executables", lambda _: None)
    finally:
        jax.monitoring.unregister_event_listener(note)
    # Training and evaluation, each two times cold and two times warm.
    assert (hits.count("cache_misses"), hits.count("cache_hits")) == (4, 4)
    assert len(compiled) == 8
    assert (cold.samples, warm.samples) == (2, 2)
    assert [path.name for path in (tmp_path / "executables").iterdir() if path.is_dir()] == []


def test_a_rung_is_measured_by_chunks_as_on_accelerators():
    trainer = Trainer(ladder.settings(), ladder.images(), Devices(jax.local_devices()[:1]))
    trainer.compiler = Compiler(trainer.settings, trainer.dataset, trainer.devices, step_by_step=False)
    programs = trainer.programs(Genotype(0.1))
    training = trainer.begin(0, Genotype(0.1), programs, 0.1)
    before = jax.device_get(training.variables["params"])
    training.repeat(3)
    rungs._evaluate(trainer, programs, training, 2)
    after = jax.device_get(training.variables["params"])
    assert not jax.tree.all(jax.tree.map(lambda one, other: (one == other).all(), before, after))


def test_a_part_that_cannot_be_measured_says_so(own_cache):
    with pytest.raises(ValueError, match="measure the device first"):
        answer(Request("ladder", TINY), lambda _: None)
    assert "one device" in answer(Request("devices", TINY), lambda _: None)["not_measured"]


# All of it, each part in a process of its own.


@pytest.fixture(scope="module")
def listening():
    return Listening()


@pytest.fixture(scope="module")
def document(listening, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("JAXEVO_CACHE_DIR", str(folder / "users"))
        patch.setattr("tempfile.tempdir", None)
        measured = Suite(TINY, 2, listening).run()
    assert list(folder.iterdir()) == [], "something was left behind, or the user's cache was touched"
    return json.loads(json.dumps(measured, allow_nan=False))


def spreads(value):
    """Yields every spread of a document with the name it has."""
    if isinstance(value, list):
        for one in value:
            yield from spreads(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, dict) and one.keys() == {"median", "min", "max", "samples"}:
                yield name, one
            else:
                yield from spreads(one)


@pytest.mark.slow
def test_nothing_failed_and_every_part_was_told(document, listening):
    assert document["failed"] == []
    assert listening.parts == list(PARTS)
    assert {text.partition(":")[0] for text in listening.texts} == set(PROCESSES)


@pytest.mark.slow
def test_the_document_says_what_it_belongs_to(document):
    assert document["schema_version"] == SCHEMA_VERSION
    assert Extent(**{name: tuple(v) if isinstance(v, list) else v for name, v in document["extent"].items()}) == TINY
    assert document["settings"] == {
        "ladder": dataclasses.asdict(ladder.settings()),
        "evolution": dataclasses.asdict(SETTINGS),
    }
    machine = document["machine"]
    assert machine["jax"] == jax.__version__
    assert {"jaxevo", "python", "platform", "device", "instruction sets", "XLA_FLAGS", "cores"} <= machine.keys()
    assert document["date"].endswith("+00:00")


@pytest.mark.slow
def test_every_figure_is_a_positive_number_within_its_range(document):
    found = list(spreads(document))
    assert len(found) >= 20
    for name, one in found:
        assert 0 <= one["min"] <= one["median"] <= one["max"] < math.inf, name
        assert one["median"] > 0 or name.endswith("share"), name
        assert one["samples"] >= 1, name


@pytest.mark.slow
def test_the_ladder_is_measured_and_what_is_too_long_is_named(document):
    linear, convolution, wide = document["ladder"]
    assert [linear["name"], convolution["name"], wide["name"]] == list(TINY.rungs)
    for rung in (linear, convolution):
        assert rung["not_measured"] is None
        assert 0 < rung["peak_share"]["median"] < 1.5
        assert rung["compile_cold_seconds"]["samples"] == 2
    needed = costs()["conv 1"]
    assert convolution["parameters"] == needed.parameters
    assert convolution["training_flops_per_image"] == needed.forward_flops + needed.backward_flops
    assert "a step is predicted to take" in wide["not_measured"]
    assert wide["step_seconds"] is None


@pytest.mark.slow
def test_batch_sizes_are_measured_and_what_is_too_long_is_named(document):
    assert [(one["name"], one["batch_size"]) for one in document["batches"]] == [
        (name, size) for name in TINY.batch_rungs for size in TINY.batch_sizes
    ]
    linear, wide = document["batches"][1], document["batches"][2]
    images = linear["batch_size"] / linear["step_seconds"]["median"]
    assert linear["images_per_second"]["median"] == pytest.approx(images)
    assert "a step is predicted to take" in wide["not_measured"]


@pytest.mark.slow
def test_compiling_goes_from_one_thread_to_every_core(document):
    compiling = document["compiling"]
    counts = [one["threads"] for one in compiling["speeds"]]
    assert (counts[0], counts[-1]) == (1, len(os.sched_getaffinity(0)))
    assert [one["architectures"] for one in compiling["speeds"]] == counts
    python, alone = compiling["python_seconds_per_architecture"], compiling["speeds"][0]["architectures_per_second"]
    # Sample by sample a part of the whole, so also at both ends.
    assert 0 < python["min"] < 1 / alone["max"]
    assert python["max"] < 1 / alone["min"]


@pytest.mark.slow
def test_every_process_tells_its_memory_and_by_which_measure(document):
    assert [one["part"] for one in document["memory"] if one["part"] != "devices"] == list(PROCESSES[:-1])
    for one in document["memory"]:
        assert one["source"] == "peak resident memory of the process"
        assert one["peak_bytes"] > 50 * 2**20


@pytest.mark.slow
def test_the_evolution_was_that_of_the_extent(document):
    evolved = document["evolution"]
    assert (evolved["individuals"], evolved["lanes"]) == (TINY.individuals, 2)
    assert 0 <= evolved["lane_idle_share"]["median"] < 1
    assert 0 < evolved["compile_share"]["median"] < 1
    # The first births of all find no program.
    assert 0 < evolved["compile_wait_share"]["median"] < 1


@pytest.mark.slow
def test_scaling_goes_from_one_to_the_lanes_asked_for(document):
    assert [(one["lanes"], one["devices"]) for one in document["lanes"]] == [(1, 1), (2, 1)]
    assert [one["lanes_per_device"] for one in document["lanes"]] == [1, 2]
    assert document["lanes"][0]["ratio"] == 1.0
    if len(os.sched_getaffinity(0)) == 1:
        assert "one device" in document["devices"]["not_measured"]
        return
    assert document["devices"]["virtual"]
    assert [one["devices"] for one in document["devices"]["speeds"]][:2] == [1, 2]
    assert all(one["batch_size"] == DEVICES_BATCH for one in document["devices"]["speeds"])


@pytest.mark.slow
def test_the_tables_print_every_rung_and_why_one_is_missing(document, capsys):
    for part in PARTS:
        print_sections(Console(width=120), part, document)
    text = capsys.readouterr().out
    assert "…" not in text
    titles = ("float32 matrix product", "batch sizes", "architectures/s", "individuals an hour", "wait for compiling")
    for name in (*titles, *TINY.rungs, "host loop", "steps/s of all", "lanes a device", "MiB"):
        assert name in text
    assert "ResNet-20 wide: not measured, a step is predicted to take" in text


# What fails, and what ends it.


def test_a_part_whose_process_dies_is_named_and_the_others_go_on(monkeypatch):
    suite = Suite(TINY, None, Listening())

    def measure(part: str, *_: object, **__: object) -> dict:
        if part == "device":
            speed = {"products": [{"flops_per_second": {"median": 1e9}}]}
            return {"machine": {}, "speed": speed}
        return suite._failure(part, "its process ended without an answer: Killed")

    monkeypatch.setattr(suite, "_measure", measure)
    measured = suite.run()
    assert measured["failed"] == list(PROCESSES[1:])
    assert "no part" in measured["memory"]["not_measured"]
    assert "Killed" in measured["ladder"]["not_measured"]


def test_an_error_in_a_process_is_a_sentence(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "nonsense")
    with pytest.raises(
        RuntimeError,
        match="ValueError: JAX does not start on this machine: .*nonsense",
    ):
        Suite(TINY, None, Listening()).run()


@pytest.mark.parametrize("file", ["missing/bench.json", "."])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys, file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Suite, "run", lambda self: pytest.fail("measured"))
    assert main(["bench", "--json", file]) == 2
    assert capsys.readouterr().err.startswith(f"jaxevo: error: --json is '{file}'")
    assert list(tmp_path.iterdir()) == []


def test_no_lanes_are_refused(capsys):
    assert main(["bench", "--lanes", "0"]) == 2
    assert "lanes is 0, but must be 1 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_tables_and_writes_the_file(document, tmp_path, monkeypatch, capsys):
    def run(self):
        for part in PROCESSES:
            self._listener.said(part, "starting")
        for part in PARTS:
            self._listener.measured(part, document)
        return document

    monkeypatch.setattr(Suite, "run", run)
    assert parse(["bench"]).quick is False
    file = tmp_path / "bench.json"
    assert main(["bench", "--quick", "--json", str(file)]) == 0
    text = capsys.readouterr().out
    assert "0:00  1/7 device: starting" in text
    assert f"all figures: {file}" in text
    assert json.loads(file.read_text()) == document


def test_a_signal_ends_it_at_once_and_leaves_nothing(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command("bench"), env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "device: starting" in process.stdout.readline()
        assert "device: products" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Stopped before the end" in rest
    assert list(tmp_path.iterdir()) == []


def test_its_help_shows_an_example(capsys):
    assert main(["bench", "--help"]) == 0
    assert "jaxevo bench --json bench.json" in capsys.readouterr().out
