"""Handwritten digits (8 x 8), five minutes on two cores: the preset `demo`, with a budget for images so small.

python -m experiments digits
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

_SETTINGS, _LIMITS = PRESETS["demo"]
EXPERIMENT = Experiment(
    dataclasses.replace(_SETTINGS, dataset="digits"), dataclasses.replace(_LIMITS, max_flops=1.5e12)
)
