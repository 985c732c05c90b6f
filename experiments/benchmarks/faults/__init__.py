"""Faults injected into tiny runs: what they cost, and that the runs come out the same."""
