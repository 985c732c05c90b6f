"""A small Fashion-MNIST, an hour on one core: the preset `large`.

python -m experiments fashion_mini_hour
"""

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

EXPERIMENT = Experiment(*PRESETS["large"])
