"""One process's part of a run."""
