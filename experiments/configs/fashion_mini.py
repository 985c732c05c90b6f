"""A small Fashion-MNIST (5,400 training images, 28 x 28), ten minutes on one core: the preset `small`.

python -m experiments fashion_mini
"""

from experiments.experiment import Experiment
from jaxevo.presets import PRESETS

EXPERIMENT = Experiment(*PRESETS["small"])
