"""Handwritten digits (8 x 8), two minutes of one core: the preset `demo`, with a budget for images so small.

The finish has a smaller share of the FLOPs, since networks this small train at fewer FLOPs a second; it took 0.12 to
0.28 of the seconds.

python -m experiments digits
"""

import dataclasses

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

_SETTINGS, _LIMITS = PRESETS["demo"]
EXPERIMENT = Experiment(
    dataclasses.replace(_SETTINGS, dataset="digits"), dataclasses.replace(_LIMITS, max_flops=1.5e12, finish_share=0.33)
)
