"""Sets of mutations by name, weights and parameters, and the sentences for what will not do."""

import collections
import math
import re

import numpy as np
import pytest
from helpers.births import task_of
from helpers.genotypes import INITIAL, RICH, convolution
from helpers.max_pool import MaxPool
from helpers.separable import Separable
from helpers.tiny_runs import TINY

from jaxevo.cli.main import main
from jaxevo.doors.opening import built_in
from jaxevo.doors.spec import spec_from
from jaxevo.search.evolution import mutants
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.layer_types import PAPER
from jaxevo.spaces.large_scale.mutation import MUTATIONS
from jaxevo.spaces.large_scale.mutation_sets import growth, mutation_set, paper
from jaxevo.spaces.large_scale.space import LargeScale

TASK = task_of((28, 28, 1))
LAYER_TYPES = (*PAPER, Separable, MaxPool)
INSERTIONS = ["INSERT-SEPARABLE-CONVOLUTION", "INSERT-MAX-POOL"]
PAPERS = [mutation.name for mutation in MUTATIONS]
# Issue 14: what paid.
ODDS = {
    "ALTER-LEARNING-RATE": 1,
    "IDENTITY": 0.5,
    "RESET-WEIGHTS": 0,
    "INSERT-CONVOLUTION": 4,
    "REMOVE-CONVOLUTION": 0.3,
    "ALTER-STRIDE": 0.3,
    "ALTER-NUMBER-OF-CHANNELS": 2,
    "FILTER-SIZE": 0.5,
    "INSERT-ONE-TO-ONE": 0.1,
    "ADD-SKIP": 1,
    "REMOVE-SKIP": 0.3,
}


def mutations_of(text, layer_types=PAPER):
    spec = spec_from("mutations", text)
    return LargeScale(0.1, layer_types).mutations[spec.name](**spec.parameters)


def weights(text, layer_types=PAPER):
    return {mutation.name: mutation.weight for mutation in mutations_of(text, layer_types)}


def apply(text, name, seed, genotype=INITIAL):
    mutations = {mutation.name: mutation for mutation in mutations_of(text)}
    return mutations[name].apply(np.random.default_rng(seed), genotype, TASK)


# Names and weights.


def test_the_papers_set_is_the_table_of_its_mutations():
    assert mutation_set("paper", 0.1) == paper() == MUTATIONS
    assert weights("paper") == dict.fromkeys(PAPERS, 1.0)


def test_growth_has_the_papers_names_and_odds_that_favour_growth():
    assert weights("growth") == ODDS
    assert [mutation.name for mutation in growth(0.1)] == PAPERS


@pytest.mark.parametrize("name", ["paper", "growth"])
def test_other_layer_types_get_an_insertion_each(name):
    found = weights(name, LAYER_TYPES)
    assert list(found) == PAPERS + INSERTIONS
    assert [found[insertion] for insertion in INSERTIONS] == [1.0, 1.0]
    assert weights(f"{name},INSERT-MAX-POOL=0.5", LAYER_TYPES) == found | {"INSERT-MAX-POOL": 0.5}


@pytest.mark.parametrize("name", ["paper", "growth"])
def test_only_reset_weights_bequeaths_nothing(name):
    assert [one.name for one in mutation_set(name, 0.1) if not one.inherits] == ["RESET-WEIGHTS"]


def test_weights_are_given_by_name_and_the_others_stay():
    assert weights("paper,IDENTITY=2.5,ADD-SKIP=0") == dict.fromkeys(PAPERS, 1.0) | {"IDENTITY": 2.5, "ADD-SKIP": 0.0}
    assert weights("growth, RESET-WEIGHTS = 1 , IDENTITY=0") == ODDS | {"RESET-WEIGHTS": 1.0, "IDENTITY": 0.0}
    assert weights("growth,") == ODDS


def test_mutations_are_drawn_by_their_weights():
    drawn = mutants(np.random.default_rng(5), RICH, growth(0.1), TASK)
    # The only one of them that may not apply to this genotype is drawn anew a little less often.
    names = [name for name in ODDS if name != "ALTER-NUMBER-OF-CHANNELS"]
    counts = collections.Counter(next(drawn)[0].name for _ in range(3_000))
    assert counts.keys() == {name for name, weight in ODDS.items() if weight}
    total, odds = sum(counts[name] for name in names), sum(ODDS[name] for name in names)
    for name in names:
        share = ODDS[name] / odds
        assert abs(counts[name] - total * share) <= 3.5 * math.sqrt(total * share * (1 - share))


# Parameters.


def test_parameters_reach_their_mutations():
    inserted = {
        apply("growth,min_channels=3,max_channels=5", "INSERT-CONVOLUTION", seed).channels(1)[-1] for seed in range(100)
    }
    assert inserted == {3, 4, 5}
    wide = Genotype(0.1, (convolution(1, 16),))
    for probability in (0, 1):
        text = f"growth,stride_probability={probability}"
        assert apply(text, "INSERT-CONVOLUTION", 0, wide).layers[-1].operation.log2_stride == probability
    children = [apply("growth,channel_factor=1", "ALTER-NUMBER-OF-CHANNELS", seed, wide) for seed in range(100)]
    assert {child.channels(1)[-1] for child in children if child is not None} == {8}


def test_by_default_insertions_have_8_to_32_channels_and_4_in_10_stride():
    widths = {apply("growth", "INSERT-CONVOLUTION", seed).channels(1)[-1] for seed in range(600)}
    assert (min(widths), max(widths)) == (8, 32)
    wide = Genotype(0.1, (convolution(1, 16),))
    strided = sum(
        apply("growth", "INSERT-CONVOLUTION", seed, wide).layers[-1].operation.log2_stride for seed in range(600)
    )
    assert abs(strided - 240) < 3.3 * math.sqrt(600 * 0.4 * 0.6)


def test_the_first_convolution_has_the_initial_learning_rate_of_the_run():
    doors = built_in(Settings(mutations="growth", initial_learning_rate=0.25))
    insert = {mutation.name: mutation for mutation in doors.mutations}["INSERT-CONVOLUTION"]
    child = insert.apply(np.random.default_rng(0), Genotype(7.0), TASK)
    assert child.learning_rate == 0.25


# Sentences.

REFUSED = [
    ("grow", "must be paper or growth"),
    ("", "must be paper or growth"),
    ("growth,IDENTITY", "'IDENTITY' must be KEY=VALUE"),
    ("growth,IDENTITY=", "'IDENTITY=' must be KEY=VALUE"),
    ("growth,IDENTITY=two", "IDENTITY is 'two', but must be a finite number, 0 or more"),
    ("growth,IDENTITY=true", "IDENTITY is True, but must be a finite number"),
    ("growth,IDENTITY=-1", "IDENTITY is -1, but must be a finite number"),
    ("growth,IDENTITY=inf", "IDENTITY is inf, but must be a finite number"),
    ("growth,IDENTITY=nan", "IDENTITY is nan, but must be a finite number"),
    ("growth,max_channels=-8", "max_channels is -8, but must be a finite number"),
    ("growth,IDENTITY=1,IDENTITY=2", "IDENTITY must be given once"),
    ("growth,GROW=1", "GROW is unknown: it must be ALTER-LEARNING-RATE, IDENTITY, RESET-WEIGHTS"),
    ("growth,Identity=1", "Identity is unknown"),
    ("growth,width=1", "width is unknown: it must be min_channels, max_channels, stride_probability, channel_factor"),
    ("growth,INSERT-MAX-POOL=1", "INSERT-MAX-POOL is unknown"),
    ("paper,max_channels=9", "max_channels is unknown: it must be left out"),
    ("growth,IDENTITY=0,ALTER-LEARNING-RATE=0", "one of ALTER-LEARNING-RATE, IDENTITY, RESET-WEIGHTS must have"),
    ("paper,IDENTITY=0,ALTER-LEARNING-RATE=0,RESET-WEIGHTS=0", "must have a weight above 0"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_will_not_do_is_refused_by_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=rf"^mutations is {re.escape(repr(text))}, but .*{re.escape(sentence)}"):
        built_in(Settings(mutations=text))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("min_channels=0", "min_channels is 0 and max_channels 32, but they must be 1 or more and rise"),
        ("min_channels=33", "min_channels is 33 and max_channels 32, but they must"),
        ("max_channels=7", "min_channels is 8 and max_channels 7, but they must"),
        ("stride_probability=1.5", "stride_probability is 1.5, but must be 0 to 1"),
        ("channel_factor=0.5", "channel_factor is 0.5, but must be a finite number, 1 or more"),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_by_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        mutations_of(f"growth,{options}")


@pytest.mark.parametrize("name", ["min_channels", "max_channels", "stride_probability", "channel_factor"])
@pytest.mark.parametrize("value", [math.nan, -1.0, math.inf])
def test_the_factory_refuses_what_is_out_of_range_too(name, value):
    with pytest.raises(ValueError, match=f"{name} "):
        growth(0.1, **{name: value})


def test_the_command_refuses_mutations_before_it_makes_a_folder(tmp_path, capsys):
    path = tmp_path / "run"
    arguments = ["run", "--workdir", str(path), "--dataset", TINY["dataset"], "--max-individuals", "1"]
    assert main([*arguments, "--mutations", "growth,GROW=1"]) == 2
    assert "jaxevo: error: --mutations is 'growth,GROW=1', but GROW is unknown" in capsys.readouterr().err
    assert not path.exists()
