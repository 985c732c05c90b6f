"""Doors: search spaces, mutations, selections and fitnesses by name, those of users included."""
