"""Imports for the process from which host processes are forked, so that these start in an instant.

JAX is prepared, but not started: a process with JAX's threads cannot be forked.
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
