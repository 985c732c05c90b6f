"""The search space of Real et al. 2017: networks of convolutions, with skips."""
