"""Settings, limits and presets: what will not do is refused by a sentence that says what would."""

import dataclasses
import json
import math
import re

import pytest

from jaxevo.doors.opening import built_in
from jaxevo.presets import PRESETS
from jaxevo.search.evolution import evolution
from jaxevo.search.space import Task
from jaxevo.settings import MAX_SEED, Execution, Limits, Settings, settings_from_json


def assert_refused(make, name, value):
    """Fails unless making it raises a sentence that names what was set, what was given, and what would do."""
    with pytest.raises(ValueError, match=rf"^{name} is {re.escape(repr(value))}, but must be \S.*"):
        make(**{name: value})


# Settings.

POSITIVE_COUNTS = (
    "sample_size",
    "mutations_per_birth",
    "train_steps",
    "batch_size",
    "evaluation_batch_size",
)
BUDGETS = ("max_parameters", "max_flops_per_image", "max_memory")
WHOLE_NUMBERS = ("seed", "population_size", "num_workers", *POSITIVE_COUNTS, *BUDGETS, "budget_births", "crop_padding")
NUMBERS_ABOVE_0 = ("initial_learning_rate", "virtual_rate")
NUMBERS_FROM_0 = ("birth_overhead", "compile_overhead", "weight_decay")
DECAYS = ("momentum", "label_smoothing", "batch_norm_decay")
NUMBERS = (*NUMBERS_ABOVE_0, *NUMBERS_FROM_0, *DECAYS)
QUANTILES = ("early_stopping",)
SWITCHES = ("wall_clock", "flip")
DOORS = ("space", "selection", "fitness", "mutations")
TEXTS = ("dataset", "image_size", *DOORS, "pareto_cost", "inheritance", "schedule", "compute_dtype")
MAY_BE_NONE = ("image_size", "num_workers", *BUDGETS, *QUANTILES, "crop_padding", "flip")


def test_the_defaults_are_valid_and_complete():
    names = {field.name for field in dataclasses.fields(Settings())}
    assert names == {*WHOLE_NUMBERS, *NUMBERS, *QUANTILES, *SWITCHES, *TEXTS}


@pytest.mark.parametrize(
    ("population_size", "events"), [(2, 50), (12, 50), (50, 200), (1000, 4000), (100_000, 400_000)]
)
def test_snapshots_cost_an_event_the_same_in_every_population(population_size, events):
    assert Execution().events_a_snapshot(population_size) == events
    assert Execution(snapshot_interval=7).events_a_snapshot(population_size) == 7


def test_settings_are_frozen_and_hashable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().seed = 1
    assert hash(Settings(seed=1)) == hash(Settings(seed=1))
    assert Settings(seed=1) != Settings(seed=2)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_a_seed_out_of_range_is_refused(seed):
    assert_refused(Settings, "seed", seed)


@pytest.mark.parametrize("seed", [0, MAX_SEED])
def test_the_first_and_the_last_seed_will_do(seed):
    assert Settings(seed=seed).seed == seed


@pytest.mark.parametrize("population_size", [-3, 0, 1])
def test_a_population_of_fewer_than_two_is_refused(population_size):
    assert_refused(Settings, "population_size", population_size)


@pytest.mark.parametrize(("population_size", "num_workers"), [(2, 2), (3, 2), (10, 6), (10, 0), (10, -1), (100, 51)])
def test_more_workers_than_half_the_population_are_refused(population_size, num_workers):
    with pytest.raises(ValueError, match=f"^num_workers is {num_workers}, but must be 1 to {population_size // 2}"):
        Settings(population_size=population_size, num_workers=num_workers)


@pytest.mark.parametrize(("population_size", "num_workers"), [(2, 1), (3, 1), (10, 5), (10, 1)])
def test_up_to_half_the_population_may_be_in_flight(population_size, num_workers):
    settings = Settings(population_size=population_size, num_workers=num_workers)
    assert settings.virtual_workers == num_workers


@pytest.mark.parametrize(("population_size", "workers"), [(2, 1), (3, 1), (4, 1), (8, 2), (100, 25), (1000, 250)])
def test_a_quarter_of_the_population_works_by_default(population_size, workers):
    assert Settings(population_size=population_size).virtual_workers == workers


@pytest.mark.parametrize("name", POSITIVE_COUNTS + BUDGETS)
@pytest.mark.parametrize("value", [0, -1])
def test_counts_and_budgets_below_1_are_refused(name, value):
    assert_refused(Settings, name, value)


@pytest.mark.parametrize("name", POSITIVE_COUNTS + BUDGETS)
def test_counts_and_budgets_of_1_will_do(name):
    assert getattr(Settings(**{name: 1}), name) == 1


@pytest.mark.parametrize("name", NUMBERS_ABOVE_0)
@pytest.mark.parametrize("value", [0, 0.0, -0.1, math.inf, math.nan])
def test_numbers_that_must_be_above_0_are_refused_otherwise(name, value):
    assert_refused(Settings, name, value)


@pytest.mark.parametrize("name", NUMBERS_FROM_0)
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_numbers_that_must_not_be_negative_are_refused_otherwise(name, value):
    assert_refused(Settings, name, value)
    assert getattr(Settings(**{name: 0.0}), name) == 0.0


@pytest.mark.parametrize("name", DECAYS)
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, math.inf, math.nan])
def test_decays_outside_0_to_1_are_refused(name, value):
    assert_refused(Settings, name, value)
    assert getattr(Settings(**{name: 0.0}), name) == 0.0


def test_a_negative_crop_padding_is_refused():
    assert_refused(Settings, "crop_padding", -1)
    assert Settings(crop_padding=0).crop_padding == 0


@pytest.mark.parametrize(
    ("name", "value", "choices"),
    [
        ("selection", "roulette", ("tournament", "aging", "pareto", "random")),
        ("pareto_cost", "seconds", ("flops", "parameters")),
        ("inheritance", "all", ("shape", "overlap", "morph", "none")),
        ("schedule", "linear", ("constant", "cosine", "one_cycle")),
        ("compute_dtype", "float16", ("float32", "bfloat16")),
    ],
)
def test_an_unknown_choice_is_refused_and_the_known_ones_are_named(name, value, choices):
    assert_refused(Settings, name, value)
    with pytest.raises(ValueError, match=".*".join(choices)):
        Settings(**{name: value})
    for choice in choices:
        assert getattr(Settings(**{name: choice}), name) == choice


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", [1.0, 2.5, "3", True, [4]])
def test_what_is_no_whole_number_is_refused_where_one_is_wanted(name, value):
    assert_refused(Settings, name, value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["0.5", True, None, [0.5]])
def test_what_is_no_number_is_refused_where_one_is_wanted(name, value):
    assert_refused(Settings, name, value)


@pytest.mark.parametrize("name", QUANTILES)
@pytest.mark.parametrize("value", ["0.5", True, [0.5], 0, 1, -0.1, math.nan])
def test_a_quantile_lies_between_0_and_1(name, value):
    assert_refused(Settings, name, value)
    assert getattr(Settings(**{name: 0.5}), name) == 0.5


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [0, 1, "True"])
def test_what_is_not_true_or_false_is_refused_where_one_is_wanted(name, value):
    assert_refused(Settings, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in TEXTS for value in (0, None, True, ["digits"]) if value or name not in MAY_BE_NONE],
)
def test_what_is_no_text_is_refused_where_one_is_wanted(name, value):
    assert_refused(Settings, name, value)


@pytest.mark.parametrize("name", [*WHOLE_NUMBERS, *SWITCHES])
def test_none_will_do_exactly_where_it_means_a_default_or_no_budget(name):
    if name in MAY_BE_NONE:
        assert getattr(Settings(**{name: None}), name) is None
    else:
        assert_refused(Settings, name, None)


FLOATS = ("initial_learning_rate", "virtual_rate", "birth_overhead", "compile_overhead", "weight_decay")


@pytest.mark.parametrize("name", FLOATS)
def test_a_whole_number_may_stand_for_any_number(name):
    settings = Settings(**{name: 2})
    assert getattr(settings, name) == 2
    algorithm = evolution(settings, built_in(settings), Task((8, 8, 1), 10, 100))
    _, births = algorithm.ask(algorithm.init())
    assert births[0].genotype.learning_rate == settings.initial_learning_rate


@pytest.mark.parametrize("name", FLOATS)
def test_a_whole_number_that_no_float_holds_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name} is 10.*, but must be a number that a float can hold"):
        Settings(**{name: 10**400})


# Settings as JSON.


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(seed=MAX_SEED, num_workers=3, flip=False, crop_padding=0, weight_decay=1 / 3, max_memory=10**12),
        Settings(mutations="growth,IDENTITY=1,max_channels=64", mutations_per_birth=3, inheritance="morph"),
        *(settings for settings, _ in PRESETS.values()),
    ],
)
def test_settings_survive_json_exactly(settings):
    assert settings_from_json(json.loads(json.dumps(dataclasses.asdict(settings)))) == settings


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_settings_without_one_of_their_fields_are_not_read(name):
    fields = dataclasses.asdict(Settings())
    del fields[name]
    with pytest.raises(ValueError, match=rf"settings .*\b{name}\b"):
        settings_from_json(fields)


def test_settings_with_an_unknown_field_are_not_read():
    with pytest.raises(ValueError, match=r"settings .*colour"):
        settings_from_json(dataclasses.asdict(Settings()) | {"colour": 1})


@pytest.mark.parametrize("fields", [None, [], "digits", 3, {}])
def test_what_is_no_settings_at_all_is_not_read(fields):
    with pytest.raises(ValueError, match="settings"):
        settings_from_json(fields)


def test_settings_that_will_not_do_are_not_read():
    with pytest.raises(ValueError, match=r"^population_size is 1, but must be"):
        settings_from_json(dataclasses.asdict(Settings()) | {"population_size": 1})


# Limits.

LIMITS = ("max_individuals", "max_flops", "max_seconds", "target_accuracy")
BELOW = {"events": 9, "flops": 999.0, "seconds": 59.9, "accuracy": 0.89}
ALL = {"max_individuals": 10, "max_flops": 1000.0, "max_seconds": 60.0, "target_accuracy": 0.9}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_limits_that_are_not_above_0_are_refused(name, value):
    assert_refused(Limits, name, value)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, "1"])
def test_a_share_of_the_finish_is_0_or_more(value):
    assert_refused(Limits, "finish_share", value)
    assert Limits(finish_share=0).finish_share == 0


@pytest.mark.parametrize("value", [1.01, 95, math.inf])
def test_a_target_accuracy_above_1_is_refused(value):
    assert_refused(Limits, "target_accuracy", value)
    assert Limits(target_accuracy=1.0).target_accuracy == 1.0


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", ["10", [1], True])
def test_limits_that_are_no_numbers_are_refused(name, value):
    assert_refused(Limits, name, value)


@pytest.mark.parametrize("value", [2.5, math.inf])
def test_a_number_of_individuals_that_is_not_whole_is_refused(value):
    assert_refused(Limits, "max_individuals", value)


def test_without_limits_nothing_is_ever_reached():
    assert Limits().reached(events=10**9, flops=1e30, seconds=1e9, accuracy=1.0) is None


def test_below_every_limit_none_is_reached():
    assert Limits(**ALL).reached(**BELOW) is None


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("max_individuals", {"events": 10}),
        ("max_flops", {"flops": 1000.0}),
        ("max_seconds", {"seconds": 60.0}),
        ("target_accuracy", {"accuracy": 0.9}),
    ],
)
def test_a_limit_that_is_met_is_named(name, at):
    assert Limits(**ALL).reached(**BELOW | at) == name
    assert Limits(**{name: ALL[name]}).reached(**BELOW | at) == name
    assert dataclasses.replace(Limits(**ALL), **{name: None}).reached(**BELOW | at) is None


@pytest.mark.parametrize(
    ("name", "beyond"),
    [
        ("max_individuals", {"events": 11}),
        ("max_flops", {"flops": 1e9}),
        ("max_seconds", {"seconds": 3600.0}),
        ("target_accuracy", {"accuracy": 1.0}),
    ],
)
def test_a_limit_that_is_passed_is_named(name, beyond):
    assert Limits(**ALL).reached(**BELOW | beyond) == name


# Execution.


@pytest.mark.parametrize("name", ["lanes", "devices_per_lane", "lanes_per_device"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_lanes_and_devices_below_1_or_not_whole_are_refused(name, value):
    assert_refused(Execution, name, value)


def test_lanes_are_counted_in_all_or_for_each_device():
    with pytest.raises(ValueError, match="^lanes_per_device is 2, but must be left out beside lanes 4, which counts"):
        Execution(lanes=4, lanes_per_device=2)


def test_lanes_that_share_several_devices_are_refused():
    with pytest.raises(ValueError, match="^lanes_per_device is 2, but must be 1 with devices_per_lane 4: lanes cannot"):
        Execution(devices_per_lane=4, lanes_per_device=2)
    Execution(devices_per_lane=4, lanes_per_device=1)


@pytest.mark.parametrize(
    ("batch_size", "devices", "near"),
    [(50, 4, "48 or 52"), (50, 8, "48 or 56"), (3, 4, "4"), (1, 2, "2"), (53, 25, "50 or 75")],
)
def test_a_batch_that_devices_cannot_share_is_refused_with_the_sizes_near_it(batch_size, devices, near):
    sentence = f"^batch_size is {batch_size}, but must be divisible by devices_per_lane {devices}: {near} would do$"
    with pytest.raises(ValueError, match=sentence):
        Execution(devices_per_lane=devices).check_batch_size(batch_size)


@pytest.mark.parametrize(("batch_size", "devices"), [(50, 1), (50, 2), (50, 5), (50, 10), (50, 25), (50, 50), (48, 8)])
def test_a_batch_that_devices_share_evenly_will_do(batch_size, devices):
    Execution(devices_per_lane=devices).check_batch_size(batch_size)


# Presets.


def test_there_are_five_presets():
    assert set(PRESETS) == {"demo", "small", "large", "gpu", "paper"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_valid_settings_and_limits(name):
    settings, limits = PRESETS[name]
    assert Settings(**dataclasses.asdict(settings)) == settings
    assert Limits(**dataclasses.asdict(limits)) == limits


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_ends(name):
    assert any(value is not None for value in dataclasses.asdict(PRESETS[name][1]).values())


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_stops_by_the_clock_which_would_give_other_networks_on_other_machines(name):
    assert PRESETS[name][1].max_seconds is None


def test_the_presets_that_grow_differ_in_length_and_budget_alone():
    demo, small, large = (PRESETS[name] for name in ("demo", "small", "large"))
    assert demo[0] == small[0] == dataclasses.replace(large[0], max_flops_per_image=small[0].max_flops_per_image)
    assert demo[1].max_flops < small[1].max_flops < large[1].max_flops
    # What compiles for a smaller part of its time finishes with a smaller share, for the same part of it.
    assert demo[1].finish_share == small[1].finish_share >= large[1].finish_share > 0


def test_the_presets_for_a_cpu_need_no_network():
    assert {PRESETS[name][0].dataset for name in ("demo", "small", "large")} <= {"digits", "fashion_mini"}


def test_the_paper_preset_has_the_papers_numbers():
    settings, _ = PRESETS["paper"]
    assert settings.dataset == "cifar10"
    assert settings.population_size == 1000
    assert settings.virtual_workers == 250
    assert settings.selection == "tournament"
    assert settings.inheritance == "shape"
    assert (settings.mutations, settings.mutations_per_birth) == ("paper", 1)
    assert settings.schedule == "constant"
    assert settings.train_steps == 25_600
    assert settings.batch_size == 50
    assert settings.momentum == 0.9
    assert settings.weight_decay == 1e-4
    assert settings.batch_norm_decay == 0.9
    assert settings.crop_padding in (None, 4)
    assert settings.flip in (None, True)
    assert (settings.max_parameters, settings.max_flops_per_image, settings.max_memory) == (None, None, None)
    assert not settings.wall_clock


def test_aging_by_default_has_the_numbers_of_regularized_evolution():
    assert (Settings().population_size, Settings().sample_size) == (100, 25)


# Execution.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("executor", "slurm"),
        ("lanes", 0),
        ("ray_workers", 0),
        ("lease_seconds", 0.0),
        ("checkpoint_seconds", -1.0),
        ("worker_resources", ""),
        ("worker_resources", "GPU"),
        ("worker_resources", "GPU=0"),
        ("worker_resources", "GPU=one"),
        ("worker_resources", "=1"),
        ("worker_resources", "GPU=inf"),
    ],
)
def test_an_execution_that_will_not_do_is_refused(name, value):
    assert_refused(Execution, name, value)


@pytest.mark.parametrize(
    ("name", "value"), [("ray_workers", 2), ("ray_address", "auto"), ("worker_resources", "GPU=1")]
)
def test_what_only_ray_knows_is_refused_without_it(name, value):
    assert_refused(Execution, name, value)
    Execution(executor="ray", **{name: value})


def test_the_resources_of_a_worker_are_read():
    assert Execution().resources() is None
    execution = Execution(executor="ray", worker_resources="CPU=2, GPU=0.5,TPU-v4-head=1")
    assert execution.resources() == {"CPU": 2.0, "GPU": 0.5, "TPU-v4-head": 1.0}
