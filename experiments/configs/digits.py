"""The demo on digits (8 x 8), from networks that know nothing to 95 % and more in about five minutes.

    python -m experiments digits

Expected: a median test accuracy of at least 95 % over seeds 0 to 4. The table of a real run stands in the README.
"""

from experiments.experiment import Experiment
from jaxevo.settings import PRESETS

EXPERIMENT = Experiment(*PRESETS["demo"])
