"""The engine on a table of known results, beside a plain loop: what asynchrony costs."""
