"""The demo: handwritten digits (8 x 8), from guessing to 95 % and more in about five minutes.

    python -m experiments digits

Expected: a median test accuracy of at least 95 % over seeds 0 to 4. README.md has a measured table.
"""

from experiments.experiment import Experiment
from jaxevo.settings import PRESETS

EXPERIMENT = Experiment(*PRESETS["demo"])
