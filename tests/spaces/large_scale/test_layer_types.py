"""Layer types that the paper does not have: a file each, and a line each of the table below."""

import functools
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers.births import task_of
from helpers.genotypes import BN_RELU, LINEAR, convolution
from helpers.max_pool import MaxPool
from helpers.numpy_network import random_variables
from helpers.separable import Separable
from helpers.xla_flops import BATCH, CLASSES, forward_flops, training_flops

from jaxevo.doors.opening import built_in
from jaxevo.layers.convolution import convolve_on
from jaxevo.networks.training import Carry, carry_shapes, make_train_step, optimiser, start
from jaxevo.presets import PRESETS
from jaxevo.reports.drawing import drawing_text
from jaxevo.reports.export import save_weights
from jaxevo.search.births import Outcome
from jaxevo.search.evolution import evolution, mutants
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype, Layer
from jaxevo.spaces.large_scale.inheritance import first_variables
from jaxevo.spaces.large_scale.layer_types import PAPER
from jaxevo.spaces.large_scale.mutation import MUTATIONS
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes
from jaxevo.spaces.large_scale.source import network_source
from jaxevo.spaces.large_scale.space import LargeScale
from jaxevo.storage.checkpoint import WeightStore

LAYER_TYPES = (
    *PAPER,
    MaxPool,
    Separable,
)
SPACE = LargeScale(0.1, layer_types=LAYER_TYPES)
DOORS = built_in(Settings())._replace(space=SPACE, mutations=SPACE.mutations["paper"]())
SHAPE = (9, 8, 3)
TASK = task_of(SHAPE, CLASSES)

GENOTYPES = {
    "max_pool": Genotype(
        0.1,
        (convolution(1, 2, activation=BN_RELU), Layer(2, MaxPool(3), LINEAR), convolution(3)),
        ((0, 2), (1, 3)),
    ),
    "max_pool_first": Genotype(0.1, (Layer(4, MaxPool(2), BN_RELU), convolution(1))),
    "separable": Genotype(
        0.1,
        (convolution(1, 2), Layer(2, Separable(1, 1), BN_RELU), Layer(3, Separable(2, 0), LINEAR)),
        ((1, 3),),
    ),
    "separable_first": Genotype(0.1, (Layer(1, Separable(1, 0), BN_RELU),)),
    "both": Genotype(0.1, (Layer(5, Separable(1, 0), LINEAR), Layer(2, MaxPool(3), BN_RELU)), ((0, 2),)),
}
over_genotypes = pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES.keys())


def phenotype_of(genotype, **options):
    return Phenotype(architecture(genotype, SHAPE), CLASSES, **options)


def test_the_presets_have_the_papers_layer_types_and_mutations():
    for settings, _ in PRESETS.values():
        doors = built_in(settings)
        assert doors.space.layer_types == PAPER
        assert len(doors.mutations) == 11


# Genotypes.


@over_genotypes
def test_a_genotype_survives_json(genotype):
    assert SPACE.from_json(json.loads(json.dumps(SPACE.to_json(genotype)))) == genotype


@over_genotypes
def test_the_papers_space_refuses_them(genotype):
    with pytest.raises(ValueError, match="must be 'convolution' or 'identity'"):
        LargeScale(0.1).from_json(SPACE.to_json(genotype))


@pytest.mark.parametrize("changes", [{"size": 1}, {"size": "3"}, {"size": None}, {"strides": 2}])
def test_what_is_no_gene_of_a_layer_type_is_refused(changes):
    value = SPACE.to_json(GENOTYPES["max_pool_first"])
    value["layers"][0] |= changes
    with pytest.raises(ValueError, match=next(iter(changes))):
        SPACE.from_json(value)


def test_operations_that_compute_the_same_share_an_architecture():
    strides = (4, 5, 60)
    one = {architecture(Genotype(0.1, (Layer(1, Separable(1, stride), LINEAR),)), SHAPE) for stride in strides}
    assert len(one) == 1
    pooled, convolved = Layer(1, MaxPool(2), LINEAR), convolution(1, 1, (1, 1), 1)
    assert len({architecture(Genotype(0.1, (layer,)), SHAPE) for layer in (pooled, convolved)}) == 2


# Mutations.


def test_each_has_an_insertion_beside_the_papers_mutations():
    names = [mutation.name for mutation in DOORS.mutations]
    assert names[:11] == [mutation.name for mutation in MUTATIONS]
    assert names[11:] == ["INSERT-MAX-POOL", "INSERT-SEPARABLE-CONVOLUTION"]


@pytest.mark.parametrize(
    ("name", "layer_type", "genes"),
    [
        ("INSERT-MAX-POOL", MaxPool, {MaxPool(2), MaxPool(3)}),
        ("INSERT-SEPARABLE-CONVOLUTION", Separable, {Separable(1, 0), Separable(1, 1)}),
    ],
)
def test_an_insertion_puts_one_anywhere(name, layer_type, genes):
    (mutation,) = (mutation for mutation in DOORS.mutations if mutation.name == name)
    parent = GENOTYPES["both"]
    places, drawn, activations = set(), set(), set()
    for seed in range(200):
        child = mutation.apply(np.random.default_rng(seed), parent, TASK)
        (new,) = (layer for layer in child.layers if layer.id == parent.fresh_id)
        assert isinstance(new.operation, layer_type)
        assert tuple(layer for layer in child.layers if layer is not new) == parent.layers
        places.add(child.layers.index(new))
        drawn.add(new.operation)
        activations.add(new.activation)
    assert (places, drawn, len(activations)) == ({0, 1, 2}, genes, 2)


def test_an_evolution_grows_them():
    settings = Settings(population_size=8, num_workers=2, train_steps=10)
    search = evolution(settings, DOORS, TASK)
    state = search.init()
    for _ in range(400):
        state, _ = search.ask(state)
        due = state.in_flight[0]
        state = search.tell(state, Outcome(due.id, min(1.0, len(due.genotype.layers) / 50), "w", f"hash {due.id}"))
    kinds = {type(layer.operation) for individual in state.population for layer in individual.genotype.layers}
    assert kinds == set(LAYER_TYPES)


# Cost.


@over_genotypes
def test_the_cost_is_what_xla_counts(genotype):
    found = cost(architecture(genotype, SHAPE), CLASSES, BATCH)
    assert BATCH * found.forward_matrix_flops == forward_flops(genotype, SHAPE)
    training = found.forward_matrix_flops + found.backward_matrix_flops
    assert BATCH * training == training_flops(genotype, SHAPE)


@pytest.mark.parametrize("name", ["max_pool", "both"])
def test_pooling_costs_what_xla_counts(name):
    genotype = GENOTYPES[name]
    (pool,) = (layer.operation for layer in architecture(genotype, SHAPE).layers if layer.operation.element_flops[0])
    flops = pool.element_flops
    pooling = ("reduce_window_max", "select_and_scatter_add")
    assert BATCH * flops.forward == forward_flops(genotype, SHAPE, pooling)
    assert BATCH * (flops.forward + flops.backward_input) == training_flops(genotype, SHAPE, pooling)


@over_genotypes
def test_parameters_are_those_of_the_arrays(genotype):
    phenotype = phenotype_of(genotype)
    shapes = variable_shapes(phenotype)
    found = cost(phenotype.architecture, CLASSES, BATCH)
    assert found.parameters == sum(array.size for array in jax.tree.leaves(shapes["params"]))
    images = jax.ShapeDtypeStruct((2, *SHAPE), np.float32)
    traced = jax.eval_shape(functools.partial(phenotype.init, train=False), jax.random.key(0), images)
    assert jax.tree.map(lambda array: array.shape, shapes) == {
        "batch_stats": {},
        **jax.tree.map(lambda array: array.shape, traced),
    }


# Networks.


@over_genotypes
def test_a_network_trains(genotype):
    settings = Settings()
    phenotype = phenotype_of(genotype, convolve=convolve_on("cpu", Settings(train_steps=2**20)))
    shapes = carry_shapes(variable_shapes(phenotype), settings)
    carry = start(first_variables(0, 1, genotype, shapes.variables, None), shapes)
    images = np.random.default_rng(0).standard_normal((8, *SHAPE)).astype(np.float32)
    labels = np.arange(8, dtype=np.int32) % CLASSES
    step = jax.jit(make_train_step(phenotype, settings))

    def loss(carry: Carry):
        logits = phenotype.apply(carry.variables, images, train=True, mutable=["batch_stats"])[0]
        return -np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), labels[:, None], 1).mean()

    before = loss(carry)
    for _ in range(12):
        carry = step(carry, (images, labels), np.float32(0.05))
    assert carry.finite
    assert loss(carry) < before


def test_weight_decay_is_on_all_filters():
    params = random_variables(variable_shapes(phenotype_of(GENOTYPES["separable"])), seed=1)["params"]
    transformation = optimiser(Settings(weight_decay=0.5))
    steps, _ = transformation.update(jax.tree.map(np.zeros_like, params), transformation.init(params), params)
    decayed = {module for module, arrays in steps.items() if any(np.any(array) for array in arrays.values())}
    assert decayed == {"convolution_1", "depthwise_2", "pointwise_2", "depthwise_3", "pointwise_3"}


@pytest.mark.parametrize("name", ["separable", "separable_first", "both"])
def test_a_network_computes_the_same_however_it_convolves(name):
    images = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)
    by_hand = phenotype_of(GENOTYPES[name], convolve=convolve_on("cpu", Settings(train_steps=2**20)))
    variables = random_variables(variable_shapes(by_hand), seed=1)
    logits = [network.apply(variables, images, train=False) for network in (by_hand, phenotype_of(GENOTYPES[name]))]
    np.testing.assert_allclose(*logits, rtol=1e-4, atol=1e-5)


def test_a_depthwise_separable_convolution_is_one_filter_a_channel_and_then_one_pixel():
    genotype = Genotype(0.1, (Layer(1, Separable(1, 0), LINEAR),))
    phenotype = phenotype_of(genotype)
    variables = random_variables(variable_shapes(phenotype), seed=2)
    images = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype(np.float32)
    params = variables["params"]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    filters, (height, width, _) = params["depthwise_1"]["kernel"], SHAPE
    depthwise = sum(
        padded[:, row : row + height, column : column + width] * filters[row, column, 0]
        for row in range(3)
        for column in range(3)
    )
    pooled = (depthwise @ params["pointwise_1"]["kernel"][0, 0]).mean(axis=(1, 2))
    expected = pooled @ params["classifier"]["kernel"] + params["classifier"]["bias"]
    np.testing.assert_allclose(phenotype.apply(variables, images, train=False), expected, rtol=1e-4, atol=1e-5)


# Inheritance.


@over_genotypes
def test_a_child_inherits_all_that_agrees(genotype):
    shapes = variable_shapes(phenotype_of(genotype))
    trained = random_variables(shapes, seed=3)
    child = first_variables(0, 9, genotype, shapes, (genotype, trained))
    jax.tree.map(np.testing.assert_array_equal, child, trained)


def test_a_wider_filter_is_drawn_afresh_and_its_neighbours_are_inherited():
    parent = GENOTYPES["separable"]
    wider = Genotype(0.1, (parent.layers[0], Layer(2, Separable(3, 1), BN_RELU), parent.layers[2]), parent.skips)
    trained = random_variables(variable_shapes(phenotype_of(parent)), seed=3)
    child = first_variables(0, 9, wider, variable_shapes(phenotype_of(wider)), (parent, trained))["params"]
    assert child["depthwise_2"]["kernel"].shape == (7, 7, 1, 6)
    for module in child.keys() - {"depthwise_2"}:
        jax.tree.map(np.testing.assert_array_equal, child[module], trained["params"][module])


def test_the_arrays_of_a_layer_are_drawn_apart():
    genotype = Genotype(0.1, (convolution(1, 3), Layer(2, Separable(0, 0), LINEAR)))
    params = first_variables(0, 1, genotype, variable_shapes(phenotype_of(genotype)), None)["params"]
    depthwise, pointwise = (params[f"{kind}_2"]["kernel"].ravel() for kind in ("depthwise", "pointwise"))
    ratios = pointwise[: depthwise.size] / depthwise
    assert np.ptp(ratios) > 0.1


def test_weights_are_kept_beside_their_genotype(tmp_path):
    genotype = GENOTYPES["separable"]
    store = WeightStore(tmp_path, SPACE)
    trained = random_variables(variable_shapes(phenotype_of(genotype)), seed=3)
    sha256 = store.save("000001-1", genotype, trained)
    jax.tree.map(np.testing.assert_array_equal, store.load("000001-1", sha256, genotype), trained)


# What people see.

_LOGITS = """
import sys, numpy as np, network
np.save(sys.argv[2], network.Network().apply(network.load(), np.load(sys.argv[1])))
"""


@over_genotypes
def test_the_readable_source_gives_the_same_logits(tmp_path, genotype):
    names, mean, deviation = tuple("abcd"), (0.2, 0.3, 0.4), (0.5, 0.6, 0.7)
    phenotype = phenotype_of(genotype)
    variables = random_variables(variable_shapes(phenotype), seed=4)
    source = network_source(phenotype.architecture, Settings(), names, mean, deviation)
    (tmp_path / "network.py").write_text(source)
    save_weights(tmp_path / "weights.safetensors", variables)
    pixels = np.random.default_rng(0).integers(256, size=(3, *SHAPE), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    command = [sys.executable, "-c", _LOGITS, "images.npy", "logits.npy"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True)
    normalised = (pixels.astype(np.float32) / 255.0 - np.float32(mean)) / np.float32(deviation)
    expected = phenotype.apply(variables, normalised, train=False)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-5, atol=1e-6)


def test_the_source_is_what_a_person_would_write():
    compiled = architecture(GENOTYPES["both"], SHAPE)
    lines = network_source(compiled, Settings(), tuple("abcd"), (0.2,) * 3, (0.5,) * 3).splitlines()
    assert sum(line.strip().startswith("convolution = partial(") for line in lines) == 1
    assert '        x = convolution(6, (1, 1), name="pointwise_1")(x)  # 9 x 8 x 6' in lines
    assert '        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")  # 5 x 4 x 6' in lines


def test_a_drawing_says_what_they_are():
    text = drawing_text(SPACE.drawing(GENOTYPES["both"], TASK)).splitlines()
    assert [line.split() for line in text[1:3]] == [
        ["layer", "5", "separable", "3", "x", "3", "9", "x", "8", "x", "6"],
        [
            "layer",
            "2",
            "max",
            "pool",
            "3",
            "x",
            "3",
            "/",
            "2,",
            "BN",
            "+",
            "ReLU",
            "5",
            "x",
            "4",
            "x",
            "6",
            "+",
            "image",
        ],
    ]


def test_chains_of_mutations_stay_valid():
    generator = np.random.default_rng(0)
    genotype = SPACE.initial(generator, TASK)
    for _ in range(150):
        genotype = next(
            child
            for _, child in mutants(generator, genotype, DOORS.mutations, TASK)
            if SPACE.cost(SPACE.architecture(child, TASK), TASK, 1, 0).parameters <= 100_000
        )
        assert SPACE.from_json(SPACE.to_json(genotype)) == genotype
        phenotype = phenotype_of(genotype)
        assert SPACE.architecture(genotype, TASK).shapes == phenotype.architecture.shapes
        assert [box.shape for box in SPACE.drawing(genotype, TASK).boxes][-2] == phenotype.architecture.shapes[-1]
