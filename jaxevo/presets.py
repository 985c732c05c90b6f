"""Presets: settings and limits that suit a purpose, to start from."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from jaxevo.settings import Limits, Settings

PresetName = Literal["demo", "small", "large", "gpu", "paper"]

# Real et al. 2017: population 1000 and a quarter of it as workers, 25,600 steps of batch 50. The virtual clock assumes
# one accelerator per worker.
_PAPER = Settings(
    dataset="cifar10",
    population_size=1000,
    train_steps=25_600,
    birth_overhead=10.0,
    compile_overhead=30.0,
    virtual_rate=5e12,
)

# What pays in minutes: docs/results.md. The virtual clock assumes a core for each worker.
_GROWING = Settings(
    dataset="fashion_mini",
    population_size=8,
    num_workers=3,
    selection="aging",
    sample_size=5,
    mutations="growth",
    mutations_per_birth=3,
    inheritance="morph",
    max_flops_per_image=12_000_000,
    budget_births=40,
    virtual_rate=2.5e10,
    train_steps=800,
    schedule="cosine",
    weight_decay=5e-4,
    label_smoothing=0.1,
    # Long trainings gain from larger shifts, these from small ones.
    crop_padding=1,
)

# On a GPU launches bound a step, so that wide networks and large batches cost little: docs/h100.md. The
# virtual clock assumes that the workers share one GPU.
_ON_GPU = dataclasses.replace(
    _GROWING,
    dataset="cifar10",
    population_size=24,
    num_workers=12,
    sample_size=8,
    mutations="growth,min_channels=32,max_channels=128",
    max_flops_per_image=300_000_000,
    budget_births=60,
    virtual_rate=5e12,
    train_steps=1000,
    batch_size=128,
    crop_padding=None,
    compute_dtype="bfloat16",
)

# FLOPs, not seconds, so that a preset ends with the same network on every machine.
PRESETS: dict[str, tuple[Settings, Limits]] = {
    "demo": (_GROWING, Limits(max_flops=4e12, finish_share=0.4)),
    "small": (_GROWING, Limits(max_flops=1e13, finish_share=0.4)),
    # More FLOPs an image buy wide layers before the first stride, and few parameters. With a larger share the finish
    # would take more than a quarter of the time.
    "large": (dataclasses.replace(_GROWING, max_flops_per_image=8_000_000), Limits(max_flops=6e13, finish_share=0.33)),
    "gpu": (_ON_GPU, Limits(max_flops=1e16, finish_share=0.5)),
    "paper": (_PAPER, Limits(max_individuals=25_000)),
}
_BUDGETS = ("max_individuals", "max_flops", "max_seconds")


def preset_beside(name: str, given: Mapping[str, object]) -> tuple[Settings, Limits]:
    """Returns the settings and limits of a preset, without its budget where another one is given.

    Who asks for two hours wants two hours, not the FLOPs of the preset.

    Args:
        name: of the preset.
        given: fields of settings and limits that differ from the preset, by name.
    """
    settings, limits = PRESETS[name]
    if any(given.get(budget) is not None for budget in _BUDGETS):
        limits = dataclasses.replace(limits, **dict.fromkeys(_BUDGETS))
    return settings, limits
