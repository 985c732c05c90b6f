"""An experiment, and how to find one by name."""

import importlib
import pkgutil
from dataclasses import dataclass

from experiments import configs
from jaxevo.settings import Limits, Settings


@dataclass(frozen=True)
class Experiment:
    """Settings and limits for several seeds; each seed in turn replaces that of `settings`."""

    settings: Settings
    limits: Limits


def names() -> list[str]:
    """Returns the names of all experiments."""
    return sorted(module.name for module in pkgutil.iter_modules(configs.__path__))


def load(name: str) -> Experiment:
    """Returns an experiment by name; raises `ValueError` if there is none."""
    if name not in names():
        raise ValueError(f"experiment is {name!r}, but must be one of {', '.join(names())}")
    experiment: Experiment = importlib.import_module(f"experiments.configs.{name}").EXPERIMENT
    return experiment
