"""Programs compiled for accelerators that are not there. Most need the environment that .ci/accelerators makes."""

import importlib.util

import pytest

from experiments.benchmarks.accelerators import kept
from experiments.benchmarks.accelerators.__main__ import main
from experiments.benchmarks.accelerators.compiling import Case, Figures, compile_all
from experiments.benchmarks.accelerators.genotypes import genotypes
from experiments.benchmarks.accelerators.hlo import bytes_gathered, loop_of
from experiments.benchmarks.apart import in_fresh_process
from jaxevo.bench import ladder
from jaxevo.spaces.large_scale.architecture import architecture

ON_V5E = ("linear", "conv 1", "odd channels", "stride beyond the size")
IMAGE_BYTES = 32 * 32 * 3
IMAGES_BYTES = 45_000 * IMAGE_BYTES

PROGRAM = """HloModule jit_train_chunk

%fused_computation (param_0: f32[2]) -> f32[2] {
  %param_0 = f32[2]{0} parameter(0)
  ROOT %add.1 = f32[2]{0} add(%param_0, %param_0)
}

%body.1 (arg: (s32[], f32[2])) -> (s32[], f32[2]) {
  %arg = (s32[], /*index=1*/f32[2]{0:T(128)}) parameter(0)
  %get-tuple-element.1 = f32[2]{0:T(128)} get-tuple-element(%arg), index=1
  %gather.1 = u8[5,12]{1,0:T(8,128)(4,1)} gather(%get-tuple-element.1, %x), offset_dims={1}, slice_sizes={1,12}
  %fusion.1 = f32[2]{0:T(128)} fusion(%get-tuple-element.1), kind=kLoop, backend_config={"estimated_cycles":"70"}
  %sum = (f32[2]{0}, f32[]) fusion(%fusion.1), kind=kInput, backend_config={"estimated_cycles":"5"}
  ROOT %tuple.1 = (s32[], f32[2]{0}) tuple(%arg, %fusion.1)
}

%body.2 (arg: s32[]) -> s32[] {
  ROOT %copy.1 = s32[] copy(%arg)
}

ENTRY %main (p: f32[2]) -> f32[2] {
  %while.1 = (s32[], f32[2]{0}) while(%p), condition=%condition.1, body=%body.1
  %while.2 = s32[] while(%p), condition=%condition.2, body=%body.2
  ROOT %copy.2 = f32[2]{0} copy(%p), backend_config={"estimated_cycles":"1000"}
}
"""


def figures_of(case, genotype):
    numbers = {"code": 0, "temporary": 5, "carry": 1, "evaluation": 2, "estimate": 12, "operations": 3, "cycles": 4}
    return Figures(case, genotype, "1.2", "libtpu 3", 1.5, flops=8.0, counted_flops=4.0, gathered=(3072,), **numbers)


def test_operations_and_cycles_are_those_of_the_largest_loop():
    assert loop_of(PROGRAM) == (3, 75)
    with pytest.raises(ValueError, match="no loop"):
        loop_of(PROGRAM[: PROGRAM.index("ENTRY")])


def test_gathers_of_bytes_are_found():
    assert bytes_gathered(PROGRAM) == [12]


def test_there_are_twelve_genotypes_of_different_architectures():
    assert len({architecture(genotype, ladder.IMAGE_SHAPE) for genotype in genotypes().values()}) == 12


def test_rows_are_kept_and_only_the_missing_are_compiled(tmp_path):
    file, done, begun = tmp_path / "rows.jsonl", Case("v5e"), Case("H100", "bfloat16", 4, 48)
    rows = [figures_of(done, "linear"), figures_of(done, "conv 1"), figures_of(begun, "linear")]
    assert kept.read(file) == []
    kept.add(file, rows[:2])
    kept.add(file, rows[2:])
    with file.open("a") as cut:
        cut.write('{"case": {"targ')
    assert kept.read(file) == rows
    kept.add(file, rows[:1])
    assert kept.read(file) == [*rows, rows[0]]
    assert kept.missing([done, begun], ["linear", "conv 1"], rows) == {begun: ["conv 1"]}


def test_a_table_is_printed_from_kept_rows(tmp_path, capsys):
    kept.add(tmp_path / "rows.jsonl", [figures_of(Case("v5e"), "linear")])
    selected = ["--targets", "v5e", "--types", "float32", "--devices", "1", "--genotypes", "linear"]
    assert main([*selected, "--file", str(tmp_path / "rows.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "JAX 1.2, libtpu 3" in printed
    assert "| v5e | float32 | 1 | 50 | linear | 1.5 | - | 0.0 | 2.00 | 2.00 | 3 | 4 |" in printed


# Compiled for real.

needs_libtpu = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="see .ci/accelerators")
needs_cuda = pytest.mark.skipif(importlib.util.find_spec("jax_cuda13_plugin") is None, reason="see .ci/accelerators")


def compiled(case, *names):
    return {figures.genotype: figures for figures in in_fresh_process(compile_all, case, names)}


@pytest.fixture(scope="module")
def on_v5e():
    return compiled(Case("v5e"), *ON_V5E)


@pytest.fixture(scope="module")
def on_h100():
    return compiled(Case("H100"), *genotypes())


def check_flops(rows):
    """FLOPs of a step, by the compiler and by jaxevo, within 5 % above 10 MFLOP."""
    counted = [figures for figures in rows if figures.flops and figures.counted_flops > 1e7]
    assert counted
    for figures in counted:
        assert figures.flops_ratio == pytest.approx(1, abs=0.05), figures.genotype


@pytest.mark.accelerators
@needs_libtpu
def test_on_a_tpu_whole_images_are_gathered_and_not_laid_out_anew(on_v5e):
    for figures in on_v5e.values():
        assert figures.gathered == (IMAGE_BYTES,)
        assert figures.temporary < IMAGES_BYTES / 10


@pytest.mark.accelerators
@needs_libtpu
def test_what_a_tpu_computes_and_needs_is_what_was_counted(on_v5e):
    check_flops(on_v5e.values())
    for figures in on_v5e.values():
        # A TPU keeps most activations beside its processor, not in the memory that is bounded.
        assert figures.memory_ratio >= 0.9
        assert 0 < figures.code < 40 * 2**20
        assert figures.cycles > 0


@pytest.mark.accelerators
@needs_libtpu
def test_four_chips_of_a_tpu_share_a_batch():
    [figures] = compiled(Case("v5e", devices=4, batch_size=48), "conv 1").values()
    check_flops([figures])
    assert figures.gathered == (IMAGE_BYTES,)


@pytest.mark.accelerators
@needs_libtpu
def test_a_tpu_computes_in_bfloat16(on_v5e):
    [figures] = compiled(Case("v5e", "bfloat16"), "conv 1").values()
    # Conversions count too.
    assert 1 < figures.flops_ratio < 1.3
    assert figures.cycles < 1.2 * on_v5e["conv 1"].cycles


@pytest.mark.accelerators
@needs_cuda
def test_a_gpu_runs_every_genotype_within_the_estimated_memory(on_h100):
    assert on_h100.keys() == genotypes().keys()
    for figures in on_h100.values():
        assert 0.9 <= figures.memory_ratio <= 3, figures.genotype
    # Launches bound a step: one operation is one kernel at least.
    assert on_h100["linear"].operations < 20
    assert on_h100["ResNet-20"].operations < 300
