"""A small Fashion-MNIST (5,400 training images, 28 x 28), ten minutes on two cores.

    python -m experiments fashion_mini

Expected: a median test accuracy of at least 75 % over seeds 0 to 4. README.md has a measured table.
"""

from experiments.experiment import Experiment
from jaxevo.settings import PRESETS

EXPERIMENT = Experiment(*PRESETS["small"])
