"""The figures of Real et al. 2017, drawn from runs, with the extra `figures`.

    from jaxevo import figures

    figures.evolution(run.history, run.drawing).savefig("figure1.pdf")
    figures.repeatability({"evolution": [one.history, two.history], "random selection": [control.history]})
    figures.dependence({"population size": {8: [small.history], 32: [large.history]}})

Each function returns a `matplotlib.figure.Figure`, which a notebook shows. pyplot and its global state are not used.
`save` writes files that are equal for equal runs, byte for byte.
"""

from jaxevo.reports.figures.clock import Clock
from jaxevo.reports.figures.dependence import dependence
from jaxevo.reports.figures.evolution import evolution
from jaxevo.reports.figures.network import network
from jaxevo.reports.figures.repeatability import repeatability
from jaxevo.reports.figures.style import save

__all__ = ["Clock", "dependence", "evolution", "network", "repeatability", "save"]
