"""Faults injected into tiny runs: their cost, and whether the runs end with the same fingerprint."""
