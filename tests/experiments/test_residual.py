"""A second space of networks, brought as a file: equal runs on every lane, process and executor, and after kills."""

import dataclasses
import json

import numpy as np
import pytest
from helpers.tiny_runs import SIGKILLED, TINY, jaxevo, run_arguments

import jaxevo as package
from experiments.spaces.residual import Genotype, Residual
from jaxevo.search.evolution import mutants
from jaxevo.search.space import Task
from jaxevo.session.progress import Watcher
from jaxevo.session.run import start_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.spaces.network_space import leaves, networks_of

SPACE, TASK = Residual(), Task((8, 8, 1), 10, 180)
DOORS = {"space": "experiments/spaces/residual.py:Residual,width=8", "mutations": "blocks,add=3"}
EVENTS = 10


def evolved(path, lanes=1):
    settings = Settings(**{**TINY, **DOORS})
    start_run(path, settings, Limits(max_individuals=EVENTS), Execution(lanes), Watcher())
    return package.open(path, trust_code=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evolved(tmp_path_factory.mktemp("residual") / "run")


def drawn(number):
    """Returns genotypes along a chain of mutations."""
    generator = np.random.default_rng(number)
    genotype = SPACE.initial(generator, TASK)
    for _ in range(number):
        genotype = next(child for _, child in mutants(generator, genotype, SPACE.mutations["blocks"](), TASK))
    return genotype


@pytest.mark.parametrize("number", range(0, 30, 3))
def test_genotypes_survive_json_and_their_cost_counts_the_arrays(number):
    genotype = drawn(number)
    assert SPACE.from_json(json.loads(json.dumps(SPACE.to_json(genotype)))) == genotype
    architecture = SPACE.architecture(genotype, TASK)
    shapes = networks_of(SPACE).shapes(architecture, TASK, Settings())["params"]
    parameters = sum(int(np.prod(shape.shape)) for _, shape in leaves(shapes))
    assert SPACE.cost(architecture, TASK, 50, 500).parameters == parameters
    assert len(SPACE.drawing(genotype, TASK).boxes) == len(genotype.blocks) + 3


def test_a_child_inherits_what_has_the_same_path_and_shape_and_nothing_else():
    networks = networks_of(SPACE)
    parent = drawn(8)
    first, *others = parent.blocks
    child = dataclasses.replace(parent, blocks=(dataclasses.replace(first, width=first.width + 8), *others))
    shapes = [networks.shapes(SPACE.architecture(one, TASK), TASK, Settings()) for one in (parent, child)]
    of_parent = networks.first_variables(0, 1, parent, shapes[0], None, "shape")
    of_child = networks.first_variables(0, 2, child, shapes[1], (parent, of_parent), "shape")
    changed = {
        path[1:3]
        for path, array in leaves(of_child)
        if not np.array_equal(array, dict(leaves(of_parent)).get(path, np.array([])))
    }
    name = f"block_{first.id}"
    assert changed == {(name, "convolution_1"), (name, "convolution_2"), (name, "norm_2")}


def test_the_number_of_lanes_does_not_matter(run, tmp_path):
    assert evolved(tmp_path / "run", lanes=2).fingerprint == run.fingerprint


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_fingerprint_if_its_code_is_trusted(run, tmp_path):
    arguments = run_arguments(tmp_path / "run", EVENTS, **DOORS)
    assert jaxevo(*arguments, kill_point="after journal record:4").returncode == SIGKILLED
    assert jaxevo("resume", tmp_path / "run").returncode == 2
    assert jaxevo("resume", tmp_path / "run", "--trust-code").returncode == 0
    assert package.open(tmp_path / "run").fingerprint == run.fingerprint


def test_it_is_verified_and_retrained(run):
    assert run.verify(retrain="best") == []


def test_an_ensemble_without_source_is_a_program_alone(run, tmp_path):
    folder = run.export_ensemble(tmp_path / "ensemble", 2)
    assert not (folder / "ensemble.py").exists()
    assert "ensemble.py" not in (folder / "README.md").read_text()
    assert (folder / "network.stablehlo").exists()


def test_it_is_exported_without_source_and_says_so(run, tmp_path):
    folder = run.export(tmp_path / "export")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "class_names.json",
        "genotype.json",
        "images.json",
        "network.stablehlo",
        "weights.safetensors",
    }
    readme = (folder / "README.md").read_text()
    assert "The search space writes no Flax source" in readme
    assert "network.py" not in readme
    import jax.export

    images = run.dataset.test.images[:20]
    exported = jax.export.deserialize(bytearray((folder / "network.stablehlo").read_bytes())).call(images)
    probabilities = np.exp(exported) / np.exp(exported).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(run.best.predict_proba(images), probabilities, atol=1e-4)


def test_it_is_reported_with_and_without_its_code(run, tmp_path):
    with_code = run.report(tmp_path / "with.html").read_text()
    assert "block 1" in with_code
    without = package.open(run.path).report(tmp_path / "without.html").read_text()
    assert "The winner is code from outside, which did not run" in without
    assert "block 1" in without


def test_a_network_of_it_predicts_only_if_trusted(run):
    with pytest.raises(ValueError, match="--trust-code"):
        package.open(run.path).best.predict(run.dataset.test.images[:1])
    assert run.best.evaluate(run.dataset.test.images, run.dataset.test.labels) == run.test().best


@pytest.mark.slow
def test_two_devices_a_lane_give_the_same_run_twice(tmp_path):
    fingerprints = []
    for name in ("one", "other"):
        assert jaxevo(*run_arguments(tmp_path / name, 5, devices_per_lane=2, **DOORS)).returncode == 0
        fingerprints.append(package.open(tmp_path / name).fingerprint)
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.slow
def test_the_workers_of_a_cluster_give_the_same_run(run, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'jaxevo[ray]'")
    flags = {"executor": "ray", "ray_workers": 1, "lanes": 1}
    assert jaxevo(*run_arguments(tmp_path / "run", EVENTS, **flags, **DOORS)).returncode == 0
    assert package.open(tmp_path / "run").fingerprint == run.fingerprint


def test_what_is_no_genotype_is_refused():
    for value in (None, {}, {"blocks": []}, 3):
        with pytest.raises(ValueError, match="a genotype is .*, but must have a learning_rate, blocks and a next_id"):
            SPACE.from_json(value)
    assert SPACE.from_json({"learning_rate": 0.1, "blocks": [], "next_id": 4}) == Genotype(0.1, (), 4)
