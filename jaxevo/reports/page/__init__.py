"""One HTML page of a run: Python gathers the data, and hand-written scripts in `assets` draw them."""
