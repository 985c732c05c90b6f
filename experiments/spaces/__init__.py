"""Search spaces of other networks than the paper's, as a user would bring them."""
