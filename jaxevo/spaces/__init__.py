"""Search spaces: what can be evolved."""
