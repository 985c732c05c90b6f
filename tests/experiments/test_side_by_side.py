"""The sides of the comparison train the same: streams, networks, training steps, ratios, and a tiny comparison."""

import functools
import importlib.util
import json

import jax
import numpy as np
import pytest
from helpers.genotypes import CLASSES, DRAWN, EVEN, EXAMPLES, ODD, images_of, random_genotype
from helpers.numpy_network import random_variables

from experiments.benchmarks.side_by_side import flax_loop
from experiments.benchmarks.side_by_side import sides as running
from experiments.benchmarks.side_by_side.__main__ import Extent, main, report
from experiments.benchmarks.side_by_side.comparison import LONG, SHORT, Cell, ratios, target
from experiments.benchmarks.side_by_side.images import padded_images, validation_batches
from experiments.benchmarks.side_by_side.search import Search, SearchCost
from experiments.benchmarks.side_by_side.streams import NAMES, Bucket, bucket_of, evenly, read_stream, write_stream
from experiments.benchmarks.side_by_side.tables import accuracy_table, search_table, speed_table, verdicts
from experiments.benchmarks.side_by_side.work import Trained, Work, trained_from_json, work_from_json
from jaxevo.data import load
from jaxevo.networks.batches import draw_batch, plan_training, put_images
from jaxevo.networks.training import carry_shapes, make_evaluate, make_train_step, start
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
SETTINGS = Settings(dataset="digits", train_steps=3)
RATE = 0.05
NETWORKS = {
    f"{name}, {shape[0]} x {shape[1]}": (genotype, shape)
    for number, (name, genotype) in enumerate(
        {**EXAMPLES, **DRAWN, **{f"random {seed}": random_genotype(seed, 30, EVEN, 3_000) for seed in range(4)}}.items()
    )
    for shape in ((EVEN, ODD)[number % 2],)
}
over_networks = pytest.mark.parametrize(("genotype", "shape"), NETWORKS.values(), ids=NETWORKS.keys())


@functools.cache
def stepped(name, shape):
    """Returns a phenotype, its variables, and a batch of images and labels."""
    genotype = {**EXAMPLES, **DRAWN}[name]
    phenotype = Phenotype(architecture(genotype, shape), CLASSES)
    labels = np.arange(12, dtype=np.int32) % CLASSES
    return phenotype, random_variables(variable_shapes(phenotype), seed=3), images_of(shape, batch=12), labels


@functools.cache
def after_two_steps(name, shape):
    """Returns what jaxevo's training hands on after two steps on one batch; the second has momentum."""
    phenotype, variables, images, labels = stepped(name, shape)
    step = jax.jit(make_train_step(phenotype, SETTINGS))
    carry = start(variables, carry_shapes(variables, SETTINGS))
    for _ in range(2):
        carry = step(carry, (images, labels), np.float32(RATE))
    return carry


def assert_close(found, expected, tolerance=1e-4):
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance), found, expected
    )


# Streams.


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_says_where_it_is_from_and_its_buckets_are_what_they_promise(name):
    stream = read_stream(name)
    assert stream.provenance["run"]["individuals"] >= len(stream.samples)
    assert len(stream.provenance["run"]["fingerprint"]) == 64
    assert load(stream.dataset).image_shape == stream.image_shape
    sizes = {bucket: [genotype.convolutions for genotype in stream.bucket(bucket)] for bucket in Bucket}
    assert max(sizes[Bucket.SMALL]) <= 2
    assert set(sizes[Bucket.MID]) <= {3, 4}
    assert min(sizes[Bucket.DEEP], default=5) >= 5
    assert sum(map(len, sizes.values())) == len(stream.samples)
    architectures = [stream.architecture(sample.genotype) for sample in stream.samples]
    assert len(set(architectures)) == len(architectures)


def test_a_third_of_the_larger_images_networks_is_deep_and_some_are_large():
    stream = read_stream("fashion")
    assert stream.image_shape == (28, 28, 1)
    deep = stream.bucket(Bucket.DEEP)
    assert len(deep) >= len(stream.samples) / 3
    assert sum(stream.flops_per_image(genotype) >= 200_000 for genotype in deep) == stream.provenance["grown"]


def test_chosen_genotypes_are_spread_over_the_stream_the_largest_first():
    stream = read_stream("demo")
    assert evenly(tuple(range(10)), 3) == (0, 3, 6)
    assert evenly((1, 2), 3) == (1, 2)
    chosen = stream.chosen(Bucket.MID, 4)
    flops = [stream.flops_per_image(genotype) for genotype in chosen]
    assert len(chosen) == 4
    assert flops == sorted(flops, reverse=True)
    assert all(bucket_of(genotype) is Bucket.MID for genotype in chosen)


def test_a_stream_and_a_work_survive_being_written(tmp_path):
    stream = read_stream("demo")
    write_stream(stream, tmp_path)
    assert read_stream("demo", tmp_path) == stream
    work = Work("digits", 10, stream.chosen(Bucket.SMALL, 2))
    assert work_from_json(json.loads(json.dumps(work.to_json()))) == work
    trained = Trained(1.0, 2.0, (0.5, None), {"compile_seconds": 1.0})
    assert trained_from_json(json.loads(json.dumps(trained.to_json()))) == trained


# What is trained.


@pytest.mark.parametrize("dataset", ["digits", "fashion_mini"])
def test_the_plain_loop_sees_the_images_that_jaxevo_sees(dataset):
    settings, images = Settings(dataset=dataset, train_steps=2), load(dataset)
    plan = plan_training(0, 1, settings, images)
    padded = padded_images(images, settings)
    ours = draw_batch(put_images(images, jax.local_devices()[0]), plan, 1)
    theirs = flax_loop.draw_batch(
        padded.pixels,
        padded.labels,
        plan.order[1],
        plan.offsets[1] + padded.margin,
        plan.flips[1],
        images.image_shape[:2],
    )
    assert plan.offsets.any()
    assert_close(theirs, ours, 1e-5)


@pytest.mark.parametrize(("name", "shape"), [("rich", EVEN)])
def test_the_plain_flax_loop_gives_the_logits_and_the_step_that_jaxevo_gives(name, shape):
    phenotype, variables, images, labels = stepped(name, shape)
    state = flax_loop.first_state(variables["params"], variables["batch_stats"], RATE)
    correct, finite = flax_loop.eval_step(phenotype, state, images, labels)
    ours = make_evaluate(phenotype)(variables, images, labels, np.int32(0))
    assert (int(correct), bool(finite)) == (int(ours.correct), True)
    for _ in range(2):
        state = flax_loop.train_step(phenotype, state, images, labels)
    expected = after_two_steps(name, shape)
    assert_close((state.params, state.batch_stats), (expected.params, expected.batch_stats))


def test_the_plain_flax_loop_compiles_a_known_network_once():
    phenotype, _, images, labels = stepped("one convolution", EVEN)
    again = Phenotype(phenotype.architecture, CLASSES)
    for model in (phenotype, again):
        state = flax_loop.init_state(model, jax.random.key(0), np.float32(RATE))
        before = flax_loop.train_step._cache_size()
        flax_loop.train_step(model, state, images, labels)
    assert again is not phenotype
    assert flax_loop.train_step._cache_size() == before


@needs_torch
@over_networks
def test_pytorch_gives_the_same_logits_from_the_same_weights(genotype, shape):
    import torch

    from experiments.benchmarks.side_by_side.torch_network import TorchNetwork, load_variables, read_variables

    compiled = architecture(genotype, shape)
    phenotype = Phenotype(compiled, CLASSES)
    variables = random_variables(variable_shapes(phenotype), seed=1)
    network = TorchNetwork(compiled, CLASSES).eval()
    load_variables(network, variables)
    images = images_of(shape)
    with torch.inference_mode():
        logits = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(logits, phenotype.apply(variables, images, train=False), rtol=1e-4, atol=1e-4)
    assert_close(read_variables(network), variables, 0)


@needs_torch
@pytest.mark.parametrize(("name", "shape"), [("rich", EVEN), ("initial", ODD)])
def test_pytorch_makes_the_same_step(name, shape):
    import torch

    from experiments.benchmarks.side_by_side.torch_loop import make_optimiser, train_step
    from experiments.benchmarks.side_by_side.torch_network import TorchNetwork, load_variables, read_variables

    phenotype, variables, images, labels = stepped(name, shape)
    network = TorchNetwork(phenotype.architecture, CLASSES)
    load_variables(network, variables)
    optimiser = make_optimiser(network, RATE, SETTINGS)
    for _ in range(2):
        train_step(
            network, optimiser, torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels.astype(np.int64))
        )
    expected = after_two_steps(name, shape)
    found = read_variables(network)
    assert_close(found["params"], expected.params, 1e-3)
    for module, statistics in found["batch_stats"].items():
        # PyTorch keeps the unbiased variance, some per cent more in a batch as small as this.
        np.testing.assert_allclose(statistics["mean"], expected.batch_stats[module]["mean"], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(statistics["var"], expected.batch_stats[module]["var"], rtol=0.1)


@needs_torch
def test_pytorch_sees_the_images_that_the_plain_loop_sees():
    from experiments.benchmarks.side_by_side.torch_loop import Trainer

    settings, dataset = Settings(dataset="fashion_mini", train_steps=2), load("fashion_mini")
    plan, padded = plan_training(0, 1, settings, dataset), padded_images(dataset, settings)
    for step, (images, labels) in enumerate(Trainer(settings, dataset).batches(1)):
        expected = flax_loop.draw_batch(
            padded.pixels,
            padded.labels,
            plan.order[step],
            plan.offsets[step] + padded.margin,
            plan.flips[step],
            (28, 28),
        )
        np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), expected[0])
        np.testing.assert_array_equal(labels.numpy(), expected[1])


def test_every_validation_image_counts_once():
    dataset = load("fashion_mini")
    batches = validation_batches(dataset, 500)
    assert sum(len(batch.labels) for batch in batches) == len(dataset.validation.labels)
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in batches]), dataset.validation.labels)


# Ratios and tables.


def trained(seconds, accuracies=(0.5, 0.7), **details):
    return Trained(seconds, 1.0, accuracies, {"compile_seconds": 3.0, "train_seconds": 1.0, **details})


def cell(regime=SHORT, bucket=Bucket.SMALL, **rounds):
    named = {
        name.replace("_", " "): [trained(seconds) for seconds in all_seconds] for name, all_seconds in rounds.items()
    }
    return Cell("demo", bucket, regime, 300, (100, 2_000), 0, named)


def test_ratios_are_medians_by_round_and_the_better_way_of_pytorch_counts():
    one = cell(jaxevo=[2.0, 4.0, 3.0], flax=[4.0, 12.0, 3.0], torch_threads=[9, 9, 9], torch_processes=[1.0, 2.0, 3.0])
    assert one.speed("jaxevo") == 3600 * 2 / 3
    over_flax, over_torch = ratios(one)
    assert (over_flax.peer, over_flax.values, over_flax.median) == ("flax", (2.0, 3.0, 1.0), 2.0)
    assert (over_torch.peer, over_torch.median) == ("torch processes", 0.5)
    assert over_flax.met
    assert over_torch.met
    assert ratios(cell(flax=[1.0])) == []


def test_targets_are_those_that_were_set():
    assert [target("flax", regime, Bucket.DEEP) for regime in (SHORT, LONG)] == [2.0, 1.3]
    assert [target("torch threads", LONG, bucket) for bucket in Bucket] == [1.0, 0.75, 0.75]
    assert {target("torch threads", SHORT, bucket) for bucket in Bucket} == {0.5}


def test_tables_have_a_row_a_cell_and_losses_are_said_with_their_reason():
    good, bad = cell(jaxevo=[1.0], flax=[3.0]), cell(jaxevo=[4.0], flax=[4.0], torch_threads=[1.0])
    text = speed_table([good, bad], ["jaxevo", "flax", "torch threads"])
    assert len(text.splitlines()) == 4
    assert len({line.count("|") for line in text.splitlines()}) == 1
    assert "3.00 (3.00 to 3.00); met: 2" in text
    assert "60.0%" in accuracy_table([good], ["jaxevo", "flax"])
    over_flax, over_torch = verdicts([good, bad])
    assert "1.00 times flax, MISSES the target of 2" in over_flax
    assert "0.25 times torch threads, MISSES the target of 0.5" in over_torch
    assert "75% of its lanes' time on compiling" in over_torch


def test_the_search_loops_are_compared_by_the_clock():
    text = search_table({"jaxevo": [SearchCost(100, 50)], "ray": [SearchCost(1000, 10), SearchCost(3000, 30)]})
    assert text.splitlines()[-1].endswith("| 2,000 us | 20 us | 20.0 |")


# The command.


def test_a_missing_peer_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(running.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"torch and ray cannot be imported.*jaxevo\[peers\].*--sides jaxevo flax pyglove"
    ):
        running.check_installed(["jaxevo", "torch", "ray"])


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds is 0"):
        main(["--quick", "--rounds", "0", "--sides", "jaxevo"])


def test_a_side_that_fails_is_named_with_its_output():
    with pytest.raises(RuntimeError, match=r"(?s)the process of jaxevo failed.*digitz"):
        running.train("jaxevo", Work("digitz", 1, ()))


@pytest.mark.slow
def test_a_tiny_comparison_prints_every_table_and_writes_every_number(tmp_path, capsys):
    extent = Extent(
        regimes=(SHORT, "search"),
        rounds=1,
        train_steps={SHORT: 5},
        individuals={SHORT: {Bucket.SMALL: 2}},
        searches={"jaxevo": Search(20, 20, 5)},
    )
    said = []
    report([read_stream("demo")], ["jaxevo", "flax"], extent, tmp_path / "numbers.json", said.append)
    text = capsys.readouterr().out
    assert text.count("## ") == 4
    assert len(said) == 3
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    [found] = numbers["cells"]
    assert [len(found["rounds"][side][0]["accuracies"]) for side in ("jaxevo", "flax")] == [2, 2]
    assert found["ratios"][0]["peer"] == "flax"
    assert numbers["search"]["jaxevo"][0]["wall"] > 0
