"""The arms: the preset `small`, the same without one of its parts, and controls.

Another part is one more line in `BUNDLES`.
"""

import dataclasses
from collections.abc import Callable, Mapping

from jaxevo.doors.opening import built_in
from jaxevo.doors.spec import spec_from
from jaxevo.presets import PRESETS
from jaxevo.settings import Settings

DEFAULT = "default"

OLD_DEFAULT = Settings(
    dataset="fashion_mini",
    population_size=16,
    num_workers=8,
    compile_overhead=0.0,
    selection="aging",
    sample_size=5,
    mutations="paper",
    mutations_per_birth=1,
    inheritance="shape",
    schedule="constant",
    train_steps=400,
    crop_padding=0,
    flip=False,
)
"""The preset `small` before networks grew by more than the paper's mutations."""
_PAPER_CHANNEL_FACTOR = 2
# A quarter of the trainings that reach a check is stopped there.
_EARLY_STOPPING = 0.25

Change = Callable[[Settings], Settings]


def without_insertion(default: Settings) -> Settings:
    """Returns the settings with mutations in the paper's forms, at the same odds.

    Insertions then have as many channels as their input and may lack batch-norm + ReLU, and all widths are relative.
    """
    if spec_from("mutations", default.mutations).name == "paper":
        return default
    known = built_in(default).mutations
    odds = ",".join(f"{mutation.name}={mutation.weight:g}" for mutation in known)
    return dataclasses.replace(default, mutations=f"paper,{odds}")


def without_odds(default: Settings) -> Settings:
    """Returns the settings with equal odds of all mutations, and the paper's range for numbers of channels."""
    name, _, rest = default.mutations.partition(",")
    if name == "paper":
        return default
    known = built_in(default).mutations
    options = [part for part in rest.split(",") if part and part == part.lower() and "channel_factor" not in part]
    options += [f"channel_factor={_PAPER_CHANNEL_FACTOR}", *(f"{mutation.name}=1" for mutation in known)]
    return dataclasses.replace(default, mutations=f"{name},{','.join(options)}")


def without_mutations_a_birth(default: Settings) -> Settings:
    """Returns the settings with one mutation a birth, and the old population."""
    return dataclasses.replace(
        default,
        mutations_per_birth=1,
        population_size=OLD_DEFAULT.population_size,
        num_workers=OLD_DEFAULT.num_workers,
    )


BUNDLES: Mapping[str, Change] = {
    "insertion": without_insertion,
    "odds": without_odds,
    "mutations a birth, population": without_mutations_a_birth,
    "schedule": lambda default: dataclasses.replace(default, schedule="constant"),
    "inheritance": lambda default: dataclasses.replace(default, inheritance="shape"),
    "early stopping, added": lambda default: dataclasses.replace(default, early_stopping=_EARLY_STOPPING),
}
"""Settings without a part of the default, by the part's name; early stopping is no part of it, and is added."""

CONTROLS: Mapping[str, Change] = {
    "random selection": lambda default: dataclasses.replace(default, selection="random"),
    "no inheritance": lambda default: dataclasses.replace(default, inheritance="none"),
    "old default": lambda default: OLD_DEFAULT,
}
"""Settings of each control, by its name."""


def default_settings() -> Settings:
    """Returns the settings of the preset `small`."""
    return PRESETS["small"][0]


def arms(changes: Mapping[str, Change], default: Settings) -> dict[str, Settings]:
    """Returns the settings of every arm that differs from the default, by name."""
    changed = {name: change(default) for name, change in changes.items()}
    return {name: settings for name, settings in changed.items() if settings != default}
