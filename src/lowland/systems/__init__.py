"""The gallery: one file per system of the literature."""
