"""The work folder of a run: read and write all that it holds."""
