"""What every host process finds imported: they are forked from one that has imported this module, in an instant.

JAX is prepared, but not started: a process with JAX's threads could not be forked.
"""

import importlib

from jaxevo.environment import prepare_process

prepare_process()
for _name in (
    "jaxevo.cli.main",
    "jaxevo.reports.progress",
    "jaxevo.reports.result",
    "jaxevo.session.run",
    "pandas",
):
    importlib.import_module(_name)
