"""Everything a run keeps in its work folder."""
