"""What is exported works without jaxevo, in both forms, and computes what jaxevo computes."""

import dataclasses
import json
import os
import subprocess
import sys
from fractions import Fraction

import jax
import jax.export
import numpy as np
import pytest
from helpers.births import task_of
from helpers.genotypes import BN_RELU, INITIAL, RICH, convolution, one_to_one, random_genotype

from jaxevo.reports import export
from jaxevo.reports.drawing import drawing_text
from jaxevo.reports.export import export_network, save_weights
from jaxevo.reports.export.ensemble import Member, export_ensemble
from jaxevo.settings import Limits, Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.drawing import draw
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json
from jaxevo.spaces.large_scale.inheritance import first_variables
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes
from jaxevo.spaces.large_scale.networks import LargeScaleNetworks
from jaxevo.spaces.large_scale.source import network_source
from jaxevo.spaces.large_scale.space import LargeScale
from jaxevo.storage.machine import Machine
from jaxevo.storage.manifest import Manifest

SPACE = LargeScale(0.1)
SPACE = LargeScale(0.1)
NAMES = (
    "plain",
    "Mc'Intosh",
    'so-called "dog"',
    "both ' and \"",
    "back\\slash\n",
    "Größe 猫",
    "{braces}",
    "no UTF-8 \udcff",
)

SKIPS = Genotype(
    0.05,
    (
        convolution(1, 6, activation=BN_RELU),
        convolution(2, Fraction(1, 2), (2, 0), 1),
        convolution(3, Fraction(1, 3), log2_stride=1, activation=BN_RELU),
    ),
    ((0, 2), (1, 3)),
)
"""Odd sizes are halved twice; one skip gets channels cut, the other padded."""

DOUBLED = Genotype(
    0.1,
    (one_to_one(1), one_to_one(2), convolution(3, 4), one_to_one(4), one_to_one(5, BN_RELU)),
    ((0, 3), (1, 3), (2, 5), (3, 5)),
)
"""Identities 1, 2 and 4 compute nothing: three skips stand side by side, and two join neighbours."""

CASES = {
    "initial": (INITIAL, (8, 8, 1)),
    "one_convolution": (Genotype(0.1, (convolution(1, 8, activation=BN_RELU),)), (8, 8, 1)),
    "skips": (SKIPS, (11, 7, 3)),
    "doubled": (DOUBLED, (6, 5, 3)),
    "rich": (RICH, (9, 9, 2)),
    "random": (random_genotype(28, 25, (12, 10, 3)), (12, 10, 3)),
    "plain_bfloat16": (INITIAL, (8, 8, 1), "bfloat16"),
    "rich_bfloat16": (RICH, (9, 9, 2), "bfloat16"),
}
"""Genotype, shape of the images, and what it computes in where that is not float32."""
BATCHES = (2, 7)


def source_of(compiled, manifest):
    return network_source(compiled, manifest.settings, manifest.class_names, manifest.mean, manifest.deviation)


def manifest_of(image_shape, compute_dtype="float32", **changes):
    generator = np.random.default_rng(5)
    manifest = Manifest(
        settings=Settings(batch_norm_decay=0.8, compute_dtype=compute_dtype),
        limits=Limits(),
        data_fingerprint="0" * 64,
        image_shape=image_shape,
        class_names=NAMES,
        mean=tuple(map(float, generator.uniform(0.2, 0.6, image_shape[2]).astype(np.float32))),
        deviation=tuple(map(float, generator.uniform(0.1, 0.3, image_shape[2]).astype(np.float32))),
        validation_images=1,
        machine=Machine({}, "cpu", "cpu", "", 1, "", (), (), 1),
    )
    return dataclasses.replace(manifest, **changes)


def variables_of(genotype, image_shape):
    """Returns variables as after a training: nothing in them is zero or one."""
    phenotype = Phenotype(architecture(genotype, image_shape), len(NAMES))
    variables = first_variables(7, 0, genotype, variable_shapes(phenotype), None)
    generator = np.random.default_rng(8)
    return jax.tree.map(lambda array: array + generator.uniform(0, 0.5, array.shape).astype("f"), variables)


def images_of(image_shape, batch):
    return np.random.default_rng(batch).integers(256, size=(batch, *image_shape), dtype=np.uint8)


def own_outputs(genotype, image_shape, compute_dtype="float32"):
    """Returns jaxevo's logits for every batch, and the running statistics after training on the last."""
    manifest, variables = manifest_of(image_shape, compute_dtype), variables_of(genotype, image_shape)
    phenotype = LargeScaleNetworks().module(architecture(genotype, image_shape), manifest.task, manifest.settings)

    def apply(variables, mean, deviation, pixels, train):
        normalised = (pixels.astype(np.float32) / 255.0 - mean) / deviation
        return phenotype.apply(variables, normalised, train=train, mutable=["batch_stats"])

    compiled = jax.jit(apply, static_argnames="train")
    constants = np.float32(manifest.mean), np.float32(manifest.deviation)
    logits = [compiled(variables, *constants, images_of(image_shape, batch), train=False)[0] for batch in BATCHES]
    trained = compiled(variables, *constants, images_of(image_shape, BATCHES[-1]), train=True)[1]
    return logits, trained.get("batch_stats", {})


USER = """
import ast, contextlib, importlib, io, os, pathlib, re, sys

# Wherever it is installed: whatever imports it from here on fails.
sys.modules["jaxevo"] = None
try:
    import jaxevo
except ImportError:
    pass
else:
    sys.exit("jaxevo can be imported")

import jax, jax.export
import numpy as np

def run_readme():
    blocks = re.findall("```python\\n(.*?)```", pathlib.Path("README.md").read_text("utf-8"), re.DOTALL)
    spaces, printed = [], io.StringIO()
    for block in blocks:
        spaces.append({})
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "README.md", "exec"), spaces[-1])
    return spaces, printed.getvalue()

for folder in map(pathlib.Path, sys.argv[1:]):
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.modules.pop("network", None)
    importlib.invalidate_caches()
    import network
    assert pathlib.Path(network.__file__).parent == folder

    variables = network.load()
    assert {array.dtype for array in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    apply = jax.jit(network.Network().apply, static_argnames=("train", "mutable"))
    program = jax.export.deserialize(bytearray(pathlib.Path("network.stablehlo").read_bytes()))
    batches = dict(np.load(folder.with_suffix(".npz")))
    results = {}
    for name, images in batches.items():
        results["source " + name] = apply(variables, images)
        results["stablehlo " + name] = program.call(images)
    _, updates = apply(variables, images, train=True, mutable="batch_stats")
    for path, array in jax.tree_util.tree_leaves_with_path(updates.get("batch_stats", {})):
        results["trained " + jax.tree_util.keystr(path, simple=True, separator="/")] = array

    (first, *_) = batches.values()
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **details: compiled.append(details) if event.endswith("backend_compile_duration") else None
    )
    answers, on_device = [network.predict(first)], jax.numpy.asarray(first)
    count = len(compiled)
    answers += [network.predict(first), network.predict(on_device)]
    assert count > 0 and len(compiled) == count, f"predict compiles at every call: {compiled}"
    assert answers[0] == answers[1] == answers[2]
    for wrong, said in [
        (first / 255, "dtype is float64; give uint8 pixels"),
        (first.astype(int), "dtype is int64; give uint8 pixels"),
        (first.tolist(), "dtype is int64; give uint8 pixels"),
        (first[0], f"shape is {first[0].shape}; give [batch, "),
        (first[:, 1:], f"shape is {first[:, 1:].shape}; give [batch, "),
    ]:
        for refuse in (network.predict, lambda images: apply(variables, np.asarray(images))):
            try:
                refuse(wrong)
            except ValueError as error:
                assert said.replace("64", "") in str(error).replace("64", "").replace("32", ""), error
            else:
                raise AssertionError(f"images were taken of which {said}")

    if hasattr(network.Network, "dtype"):
        wide = jax.jit(network.Network(dtype=jax.numpy.float32).apply)(variables, first)
        results["float32 2"] = np.asarray(wide)

    spaces, printed = run_readme()
    assert len(spaces) == 3
    trained = spaces[1]
    for kind in ("params", "batch_stats"):
        before, after = jax.tree.leaves(variables[kind]), jax.tree.leaves(trained[kind])
        assert len(before) == len(after), kind
        assert all((np.asarray(a) != np.asarray(b)).any() for a, b in zip(before, after)), kind
    by_source, by_program = printed.splitlines()
    assert by_source == by_program and set(ast.literal_eval(by_source)) <= set(network.CLASS_NAMES), printed
    assert program.platforms == ("cpu", "cuda", "tpu")
    np.savez(folder.with_name(folder.name + "_results.npz"), **results)
    sys.path.remove(str(folder))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Returns a folder with every case exported, and what a process without jaxevo made of it."""
    base = tmp_path_factory.mktemp("exported").resolve()
    for name, (genotype, image_shape, *compute_dtype) in CASES.items():
        variables = variables_of(genotype, image_shape)
        facts = {"validation accuracy": 0.98765, "parameters": 12345, "run": "demo"}
        export_network(SPACE, genotype, variables, manifest_of(image_shape, *compute_dtype), facts, base / name)
        np.savez(base / f"{name}.npz", **{str(batch): images_of(image_shape, batch) for batch in BATCHES})
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(base / "compiled"),  # The README repeats some of what is compared.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", USER, *(str(base / name) for name in CASES)],
        capture_output=True,
        text=True,
        cwd=base,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return base


def assert_same(actual, expected, compute_dtype="float32"):
    """Asserts equality but for rounding: two programs may be fused differently, on accelerators be other kernels."""
    tolerance = 3e-6 if jax.default_backend() == "cpu" else 1e-3
    if compute_dtype == "bfloat16":
        tolerance = 2e-2  # Which roundings to eight bits XLA leaves out depends on what it fuses.
    assert actual.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_both_forms_give_the_logits_of_jaxevo_where_it_cannot_be_imported(exported, name):
    results = np.load(exported / f"{name}_results.npz")
    logits, batch_stats = own_outputs(*CASES[name])
    compute_dtype = CASES[name][2:]
    for batch, expected in zip(BATCHES, logits, strict=True):
        assert_same(results[f"source {batch}"], expected, *compute_dtype)
        assert_same(results[f"stablehlo {batch}"], expected, *compute_dtype)
    for path, expected in jax.tree_util.tree_leaves_with_path(batch_stats):
        key = "trained " + jax.tree_util.keystr(path, simple=True, separator="/")
        assert_same(results[key], expected, *compute_dtype)
    assert sum(key.startswith("trained") for key in results) == len(jax.tree.leaves(batch_stats))


@pytest.mark.slow
def test_source_of_bfloat16_computes_in_float32_if_asked_as_its_converter_to_onnx_does(exported):
    for name in ("plain", "rich"):
        genotype, image_shape, _ = CASES[f"{name}_bfloat16"]
        (expected, *_), _ = own_outputs(genotype, image_shape)
        assert_same(np.load(exported / f"{name}_bfloat16_results.npz")["float32 2"], expected)
    assert "Network(dtype=jnp.float32)" in (exported / "rich_bfloat16" / "to_onnx.py").read_text(encoding="utf-8")


def ruff(*arguments):
    return subprocess.run([sys.executable, "-m", "ruff", *arguments, "--isolated"], capture_output=True, text=True)


def assert_ruff_has_no_objection(paths):
    paths = list(paths)
    formatted = ruff("format", "--diff", "--line-length=110", *paths)
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr
    pydocstyle = "--config=lint.pydocstyle.convention='google'"
    checked = ruff("check", "--line-length=110", "--select=E,F,I,B,UP,D", pydocstyle, *paths)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_the_source_is_formatted_and_clean(exported):
    assert_ruff_has_no_objection(exported / name / "network.py" for name in CASES)
    assert_ruff_has_no_objection([exported / "initial" / "to_onnx.py"])


def test_the_converter_to_onnx_needs_neither_jaxevo_nor_orbax(exported):
    lines = (exported / "initial" / "to_onnx.py").read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported == {"sys", "jax", "jax2onnx", "network"}


def test_the_source_stays_formatted_with_many_classes_and_channels(tmp_path):
    shapes = {"none": (4, 4, 1), "few": (4, 4, 3), "many": (4, 4, 40)}
    classes = {
        "none": ("only",),
        "few": tuple("abc"),
        "many": tuple(f"class {label}" for label in range(100)),
    }
    for name, image_shape in shapes.items():
        manifest = manifest_of(image_shape, class_names=classes[name])
        (tmp_path / f"{name}.py").write_text(source_of(architecture(RICH, image_shape), manifest))
    assert_ruff_has_no_objection(tmp_path.iterdir())


def test_the_source_says_no_more_than_the_network_needs():
    manifest = manifest_of((8, 8, 1))
    plain = source_of(architecture(INITIAL, (8, 8, 1)), manifest)
    assert not any(word in plain for word in ("partial", "fit(", "point_", "image =", "convolution", "batch_norm("))
    kept = source_of(architecture(SKIPS, (11, 7, 3)), manifest_of((11, 7, 3)))
    assert [line.strip() for line in kept.splitlines() if line.endswith("= x")] == [
        "image = x",
        "point_1 = x",
    ]


def test_constants_read_back_exactly():
    values = np.random.default_rng(0).uniform(1e-3, 1, 500).astype(np.float32)
    values = np.concatenate([values, np.float32([1e-30, 1e-7, 1, 123456.789, 1 / 3])])
    image_shape = (4, 4, len(values))
    manifest = manifest_of(image_shape, mean=tuple(map(float, values)), deviation=tuple(map(float, values)))
    space = {"__name__": "network"}
    exec(source_of(architecture(INITIAL, image_shape), manifest), space)
    assert space["CLASS_NAMES"] == NAMES
    for name in ("MEAN", "DEVIATION"):
        np.testing.assert_array_equal(np.array(space[name], np.float32), values)


@pytest.mark.slow
def test_the_folder_says_what_it_holds(exported):
    folder = exported / "skips"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert drawing_text(draw(SKIPS, task_of((11, 7, 3), len(NAMES)))) in readme
    assert "- validation accuracy: 0.9877\n- parameters: 12,345\n- run: demo\n" in readme
    assert f"jax {jax.__version__}" in readme
    assert '5 "Größe 猫"' in readme
    assert genotype_from_json(json.loads((folder / "genotype.json").read_text())) == SKIPS
    assert tuple(json.loads((folder / "class_names.json").read_text())) == NAMES


@pytest.mark.slow
def test_what_a_network_computes_in_is_said(exported):
    for name, dtype in (("rich", "float32"), ("rich_bfloat16", "bfloat16")):
        assert f"It computes in {dtype}" in (exported / name / "README.md").read_text(encoding="utf-8")
        assert ("bfloat16" in (exported / name / "network.py").read_text(encoding="utf-8")) == (dtype == "bfloat16")
        program = jax.export.deserialize(bytearray((exported / name / "network.stablehlo").read_bytes()))
        assert ("xbf16>" in program.mlir_module()) == (dtype == "bfloat16")


def export_initial(folder):
    image_shape = (8, 8, 1)
    export_network(SPACE, INITIAL, variables_of(INITIAL, image_shape), manifest_of(image_shape), {}, folder)


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is not empty"):
        export_initial(tmp_path)
    with pytest.raises(ValueError, match="exists and is not empty"):
        export_initial(tmp_path / "mine.txt")
    with pytest.raises(ValueError, match="cannot be written"):
        export_initial(tmp_path / "mine.txt" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_empty_folder_is_filled_and_missing_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    mode = (tmp_path / "empty").stat().st_mode
    for folder in (tmp_path / "empty", tmp_path / "new" / "below"):
        export_initial(folder)
        assert {path.name for path in folder.iterdir()} == {
            "README.md",
            "class_names.json",
            "genotype.json",
            "images.json",
            "network.py",
            "network.stablehlo",
            "to_onnx.py",
            "weights.safetensors",
        }
        assert folder.stat().st_mode == mode


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interrupted_export_leaves_nothing(tmp_path, monkeypatch, failure):
    def save_and_fail(path, variables):
        save_weights(path, variables)
        raise failure

    monkeypatch.setattr(export, "save_weights", save_and_fail)
    with pytest.raises(ValueError if failure is OSError else failure):
        export_initial(tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_network_are_refused(exported, tmp_path):
    import shutil

    shutil.copytree(exported / "rich", tmp_path / "mixed")
    shutil.copy(exported / "initial" / "weights.safetensors", tmp_path / "mixed")
    program = "import network\nnetwork.load()"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "mixed", capture_output=True, text=True)
    assert done.returncode == 1
    assert "ValueError: weights.safetensors holds {" in done.stderr


ENSEMBLE_USER = """
import sys
sys.modules["jaxevo"] = None
import json
import jax.export
import numpy as np
import ensemble

images = np.random.default_rng(0).integers(256, size=(40, 8, 8, 1), dtype=np.uint8)
program = jax.export.deserialize(bytearray(open("network.stablehlo", "rb").read()))
by_program = [json.load(open("class_names.json"))[label] for label in program.call(images).argmax(axis=-1)]
votes = [[one.CLASS_NAMES.index(name) for name in one.predict(images)] for one in ensemble.NETWORKS]
print(json.dumps([ensemble.predict(images) == by_program, by_program, votes]))
"""


def test_an_exported_ensemble_votes_as_jaxevo_does_where_it_cannot_be_imported(tmp_path):
    from jaxevo.networks.evaluation import majority_vote

    image_shape = (8, 8, 1)
    genotypes = [INITIAL, *(random_genotype(seed, 6, image_shape) for seed in range(2))]
    members = [Member(place, one, variables_of(one, image_shape), {}) for place, one in enumerate(genotypes)]
    export_ensemble(SPACE, members, manifest_of(image_shape), tmp_path / "ensemble")
    done = subprocess.run(
        [sys.executable, "-c", ENSEMBLE_USER], cwd=tmp_path / "ensemble", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    same, names, votes = json.loads(done.stdout)
    assert same
    assert names == [NAMES[label] for label in majority_vote(np.array(votes), len(NAMES))]


ALONE = """
import importlib.machinery, pathlib, sys

# JAX, what pip installs with it, and FlatBuffers.
ALLOWED = {"jax", "jaxlib", "ml_dtypes", "numpy", "opt_einsum", "scipy", "flatbuffers"}

class Few(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in ALLOWED - set(sys.argv[2:]) or top in sys.stdlib_module_names or top.startswith("_sysconfig")
        return super().find_spec(name, path, target) if known else None

sys.meta_path = [finder for finder in sys.meta_path if finder.__module__ == "_frozen_importlib"] + [Few]
import jax.export
import numpy as np

folder = pathlib.Path(sys.argv[1])
network = jax.export.deserialize(bytearray((folder / "network.stablehlo").read_bytes()))
print(network.call(np.zeros((2, 8, 8, 1), np.uint8)).shape)
"""


def stablehlo_alone(folder, *missing):
    command = [sys.executable, "-I", "-c", ALONE, str(folder), *missing]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_the_stablehlo_needs_jax_and_flatbuffers_and_nothing_else(exported):
    assert "It needs `jax` and `flatbuffers`." in (exported / "initial" / "README.md").read_text(encoding="utf-8")
    done = stablehlo_alone(exported / "initial")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"(2, {len(NAMES)})\n"
    assert "flatbuffers" in stablehlo_alone(exported / "initial", "flatbuffers").stderr
