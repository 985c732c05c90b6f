"""A small Fashion-MNIST, five to seven minutes on two cores: the preset `demo`, which `make evolve` runs.

python -m experiments fashion_mini_demo
"""

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

EXPERIMENT = Experiment(*PRESETS["demo"])
