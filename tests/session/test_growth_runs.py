"""Runs that grow: several mutations a birth, morphed weights and a schedule reproduce like the paper's do."""

import json
from pathlib import Path

import pytest
from helpers.tiny_runs import SIGKILLED, jaxevo, resume, run_arguments, start

import jaxevo as package
from jaxevo.reports.result import write_result
from jaxevo.reports.verify import verify_run
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

EVENTS = 10
GROWTH = {
    "population_size": 4,
    "num_workers": 2,
    "mutations": "growth,INSERT-CONVOLUTION=6,max_channels=12",
    "mutations_per_birth": 3,
    "inheritance": "morph",
    "schedule": "cosine",
    "train_steps": 4,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    start(path, EVENTS, **GROWTH)
    write_result(path)
    return path


def test_the_manifest_holds_names_and_parameters(finished):
    fields = json.loads((finished / "manifest.json").read_text())["settings"]
    assert {name: fields[name] for name in GROWTH} == GROWTH


def test_births_record_all_of_their_mutations_and_grow(finished):
    individuals = [life.individual for life in History(Workdir(finished)).lives.values()]
    children = [individual for individual in individuals if individual.parent_id is not None]
    assert len(children) == EVENTS - GROWTH["population_size"]
    assert all(len(child.mutation.split("+")) == GROWTH["mutations_per_birth"] for child in children)
    assert any(child.genotype.convolutions for child in children)


def test_one_lane_and_a_killed_run_have_the_same_fingerprint(finished, tmp_path):
    path = tmp_path / "killed"
    arguments = run_arguments(path, EVENTS, **GROWTH)
    assert jaxevo(*arguments, kill_point="after journal record:6").returncode == SIGKILLED
    resume(path, lanes=1)
    assert package.open(path).fingerprint == package.open(finished).fingerprint


def test_a_shorter_run_is_its_prefix_and_can_be_extended(finished, tmp_path):
    path = tmp_path / "short"
    start(path, 6, lanes=1, **GROWTH)
    assert package.open(path).fingerprint == package.open(finished, 6).fingerprint
    resume(path, EVENTS)
    assert package.open(path).fingerprint == package.open(finished).fingerprint


def test_trained_again_all_are_equal_bit_for_bit(finished):
    for retrain in ("best", EVENTS):
        assert verify_run(finished, retrain, lambda _: None) == []
