"""An experiment, and how to find one by name."""

import dataclasses
import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any

from experiments import configs
from jaxevo.settings import Limits, Settings


@dataclass(frozen=True)
class Experiment:
    """Settings and limits for several seeds; each seed in turn replaces that of `settings`."""

    settings: Settings
    limits: Limits

    def changed(self, max_flops: float | None = None, **settings: Any) -> "Experiment":
        """Returns the experiment with other settings and another budget; None leaves what there is."""
        given = {name: value for name, value in settings.items() if value is not None}
        limits = self.limits if max_flops is None else dataclasses.replace(self.limits, max_flops=max_flops)
        return Experiment(dataclasses.replace(self.settings, **given), limits)


def names() -> list[str]:
    """Returns the names of all experiments."""
    return sorted(module.name for module in pkgutil.iter_modules(configs.__path__))


def load(name: str) -> Experiment:
    """Returns an experiment by name; raises `ValueError` if there is none."""
    if name not in names():
        raise ValueError(f"experiment is {name!r}, but must be one of {', '.join(names())}")
    experiment: Experiment = importlib.import_module(f"experiments.configs.{name}").EXPERIMENT
    return experiment
