"""Importing jaxevo changes nothing in the process."""

import pytest
from helpers.fresh_process import run_fresh

IMPORT = """
import importlib, json, os, pkgutil, sys

def import_all(names):
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # Of a dependency's optional module.
            pass

def own_names():
    import jaxevo
    names = [module.name for module in pkgutil.walk_packages(jaxevo.__path__, "jaxevo.")]
    return [name for name in names if not name.endswith("__main__")]
"""

LIST = (
    IMPORT
    + """
before = set(sys.modules)
import_all(own_names())
print(*[name for name in sys.modules if name not in before and name.split(".")[0] != "jaxevo"])
"""
)

COMPARE = (
    IMPORT
    + """
import logging, signal, warnings
names = own_names()
with open(os.environ["OTHERS"]) as file:
    import_all(file.read().split())
import absl.logging, jax

def state():
    return {
        "absl": (logging.getLogger("absl").level, absl.logging.get_verbosity()),
        "switch interval": sys.getswitchinterval(),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "warnings": list(warnings.filters),
        "jax": dict(jax.config.values),
    }

before = state()
import_all(names)
assert {"jaxevo.session.run", "jaxevo.storage.checkpoint", "jaxevo.cli.main"} <= set(sys.modules)
after = state()
print("changed:", *[name for name in before if before[name] != after[name]])
"""
)


@pytest.mark.slow
def test_importing_every_module_changes_no_state_of_the_process(tmp_path):
    """What the packages that jaxevo imports do to the process, they have done before."""
    others = tmp_path / "others"
    others.write_text(" ".join(run_fresh(LIST)))
    assert run_fresh(COMPARE, OTHERS=str(others)) == ["changed:"]
