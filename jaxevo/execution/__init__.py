"""Execution: train births on the lanes of this machine or of a cluster."""
