"""jaxevo: neuro-evolution of image classifiers in JAX, the same run from the same seed.

It implements "Large-Scale Evolution of Image Classifiers" (Real et al. 2017): networks that know nothing evolve into
large accurate ones by mutation, tournaments and weight inheritance.

    run = jaxevo.evolve(dataset="digits", seed=0, max_individuals=100)
    run = jaxevo.open("runs/digits-seed0").resume(max_individuals=200)
    run.history, run.test()
    run.best.predict(images), run.ensemble.evaluate(images, labels)
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
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
    from jaxevo.reports.network import Ensemble, Network
    from jaxevo.reports.run import Run, verify
    from jaxevo.search.population import Individual
    from jaxevo.settings import Execution, Limits, Settings
    from jaxevo.spaces.large_scale.genotype import Genotype
else:
    # Names are imported when they are first used, so that `import jaxevo` takes no time. Type checkers must not see
    # this function: to them every misspelt name would be one of the module's.
    _HOMES = {
        "Ensemble": "jaxevo.reports.network",
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
        """Imports a public name when it is first used."""
        if name not in _HOMES:
            raise AttributeError(f"module 'jaxevo' has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)

    def __dir__():
        """Returns the public names, whether they were used before or not."""
        return sorted([*__all__, "__version__"])
