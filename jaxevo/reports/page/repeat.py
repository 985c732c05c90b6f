"""How to make a run again: its settings, its versions, and the command."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from jaxevo.doors.spec import KINDS
from jaxevo.environment.flags import GPU_DETERMINISTIC
from jaxevo.presets import PRESETS
from jaxevo.settings import Settings
from jaxevo.storage.history import History
from jaxevo.storage.manifest import Manifest


def settings_rows(settings: Settings) -> list[tuple[str, str, bool]]:
    """Returns name, value, and True if it differs from the default, for each setting."""
    default = Settings()
    return [
        (field.name, shown_setting(field.name, getattr(settings, field.name)), getattr(settings, field.name) != given)
        for field in dataclasses.fields(settings)
        for given in [getattr(default, field.name)]
    ]


def repeat(history: History) -> dict[str, Any]:
    """Returns settings, versions, and the commands that make the run again, without any absolute path."""
    manifest, state = history.manifest, history.state
    preset, changes = _closest_preset(manifest.settings)
    limit = {} if PRESETS[preset][1].max_individuals == state.events else {"max_individuals": state.events}
    began_with, machine = _origin(manifest), manifest.machine
    shown = {name: _without_folders(name, value) for name, value in (changes | limit).items()} | began_with
    if machine.devices_per_lane > 1:
        shown["devices_per_lane"] = machine.devices_per_lane
    fast = machine.platform == "gpu" and GPU_DETERMINISTIC not in machine.xla_flags
    flags = ["jaxevo", "run", "--preset", preset, *(text for one in shown.items() for text in _flag(*one))]
    given = ", ".join(f"{name}={value!r}" for name, value in {"preset": preset, **shown}.items())
    facts = machine.facts()
    return {
        "settings": settings_rows(manifest.settings),
        "machine": [(name, str(value)) for name, value in facts.items() if value not in (None, "")],
        "shell": shlex.join(flags),
        "python": f"import jaxevo\n\nrun = jaxevo.evolve({given})",
        "from_path": bool(began_with) or _shown_path(manifest.settings.dataset) != manifest.settings.dataset,
        "fingerprint": state.fingerprint,
        "data_fingerprint": manifest.data_fingerprint,
        "reproducible": not (history.skipped or manifest.settings.wall_clock or fast),
        "fast": fast,
        "skipped": history.skipped,
    }


def _origin(manifest: Manifest) -> dict[str, str]:
    """Returns the argument that begins a run with what a warm start began with; empty without one."""
    warm_start = manifest.warm_start
    if warm_start is None:
        return {}
    return {"from_run" if warm_start.weights_sha256 else "from_genotype": warm_start.source}


def _closest_preset(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Returns the preset that differs in the fewest settings, and these settings."""
    fields = [field.name for field in dataclasses.fields(settings)]
    differing = {
        preset: {name: getattr(settings, name) for name in fields if getattr(settings, name) != getattr(defaults, name)}
        for preset, (defaults, _) in PRESETS.items()
    }
    preset = min(differing, key=lambda name: len(differing[name]))
    return preset, differing[preset]


def _flag(name: str, value: object) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if name == "wall_clock":
        return [flag] if value else []
    return [flag, str(value)]


def shown_setting(name: str, value: object) -> str:
    """Returns the value of a setting as text, without folders."""
    return "default" if value is None else str(_without_folders(name, value))


def _without_folders(name: str, value: object) -> object:
    """Returns the value of a setting; a data set or a part from outside without its folders."""
    return _shown_path(str(value)) if name in ("dataset", *KINDS) else value


def _shown_path(text: str) -> str:
    return Path(text).name if Path(text).is_absolute() else text
