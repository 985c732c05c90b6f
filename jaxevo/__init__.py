"""Reproducible neuro-evolution of image classifiers in JAX: the same seed gives the same run.

Implements "Large-Scale Evolution of Image Classifiers" (Real et al. 2017): networks without hidden layers evolve into
large accurate ones by mutation, tournaments and weight inheritance.

    run = jaxevo.evolve(dataset="digits", seed=0, max_individuals=30)
    run = jaxevo.open("runs/digits-seed0").resume(max_individuals=40)
    run.history, run.test()
    run.best.predict(images), run.ensemble.evaluate(images, labels)
"""

import sys
from typing import TYPE_CHECKING

__version__ = "0.2.0"
WINDOWS_SENTENCE = (
    "jaxevo does not run on Windows itself: its locks and durable files need a POSIX system. Use it in WSL, the "
    "Windows Subsystem for Linux (`wsl --install`)"
)
__all__ = [
    "Data",
    "Ensemble",
    "Execution",
    "Genotype",
    "Individual",
    "Limits",
    "Network",
    "Run",
    "Settings",
    "evolve",
    "open",
    "verify",
]

if TYPE_CHECKING:
    from jaxevo.api import evolve, open
    from jaxevo.data.memory import Data
    from jaxevo.reports.ensemble import Ensemble
    from jaxevo.reports.network import Network
    from jaxevo.reports.run import Run, verify
    from jaxevo.search.population import Individual
    from jaxevo.settings import Execution, Limits, Settings
    from jaxevo.spaces.large_scale.genotype import Genotype
else:
    # Names are imported on first use, so that `import jaxevo` takes no time. Type checkers must not see this function,
    # or they would accept every misspelt name.
    _HOMES = {
        "Data": "jaxevo.data.memory",
        "Ensemble": "jaxevo.reports.ensemble",
        "Execution": "jaxevo.settings",
        "Genotype": "jaxevo.spaces.large_scale.genotype",
        "Individual": "jaxevo.search.population",
        "Limits": "jaxevo.settings",
        "Network": "jaxevo.reports.network",
        "Run": "jaxevo.reports.run",
        "Settings": "jaxevo.settings",
        "evolve": "jaxevo.api",
        "open": "jaxevo.api",
        "verify": "jaxevo.reports.run",
    }

    def __getattr__(name):
        """Imports a public name on first use."""
        if name not in _HOMES:
            raise AttributeError(f"module 'jaxevo' has no attribute {name!r}")
        if sys.platform == "win32":
            raise OSError(WINDOWS_SENTENCE)
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)

    def __dir__():
        """Returns the public names, including those not imported yet."""
        return sorted([*__all__, "__version__"])
