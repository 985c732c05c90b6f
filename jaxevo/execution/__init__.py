"""Where births are trained: lanes of this machine."""
