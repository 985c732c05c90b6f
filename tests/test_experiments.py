"""The experiments' configs load, and the entry point runs one and prints its table."""

import dataclasses

import pytest
from tiny_runs import TINY

from experiments.__main__ import run_seed, table
from experiments.experiment import Experiment, load, names
from jaxevo.settings import Execution, Limits, Settings


@pytest.mark.parametrize("name", names())
def test_every_config_loads_and_has_a_lab_note_with_its_command(name):
    experiment = load(name)
    assert isinstance(experiment, Experiment)
    module = __import__(f"experiments.configs.{name}", fromlist=["EXPERIMENT"])
    assert f"python -m experiments {name}" in module.__doc__


def test_an_unknown_experiment_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="must be one of .*cifar10_paper"):
        load("mnist_of_tomorrow")


def test_the_papers_configs_have_the_papers_numbers():
    ten, hundred = load("cifar10_paper").settings, load("cifar100_paper").settings
    assert (ten.population_size, ten.num_workers, ten.train_steps, ten.batch_size) == (1000, 250, 25_600, 50)
    assert hundred == dataclasses.replace(ten, dataset="cifar100")


def test_a_seed_is_run_once_and_then_read(tmp_path):
    experiment = Experiment(Settings(**TINY), Limits(max_individuals=7))
    first = run_seed(experiment, 5, tmp_path / "five", Execution(2))
    again = run_seed(experiment, 5, tmp_path / "five", Execution(2))
    assert first["individuals"] == 7
    assert again["fingerprint"] == first["fingerprint"]
    text = table({5: first})
    assert f"| 5 | 7 | {first['best_validation_accuracy']:.1%}" in text
    assert f"median test accuracy {first['best_test_accuracy']:.1%}" in text
