"""jaxevo: neuro-evolution of image classifiers in JAX, the same run from the same seed.

It implements "Large-Scale Evolution of Image Classifiers" (Real et al. 2017): networks that know nothing evolve into
large accurate ones by mutation, tournaments and weight inheritance.

    run = jaxevo.evolve(dataset="digits", seed=0, max_individuals=100)
    run = jaxevo.open("runs/digits-seed0")
    run.history, run.best.module, run.best.variables
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxevo.api import Run, evolve
    from jaxevo.settings import Limits, Settings
    from jaxevo.spaces.large_scale.genotype import Genotype

__version__ = "0.1.0"
__all__ = ["Genotype", "Limits", "Run", "Settings", "evolve", "open"]

_HOMES = {
    "Genotype": "jaxevo.spaces.large_scale.genotype",
    "Limits": "jaxevo.settings",
    "Run": "jaxevo.api",
    "Settings": "jaxevo.settings",
    "evolve": "jaxevo.api",
}


def open(workdir: Any, max_events: int | None = None) -> "Run":
    """Opens what a run left in its work folder, or its first `max_events` events, without training anything.

    Raises:
        ValueError: where the folder holds no run or is damaged.
    """
    from jaxevo.api import Run

    return Run(workdir, max_events)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that `import jaxevo` takes no time."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxevo' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
