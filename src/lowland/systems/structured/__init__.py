"""Energies over what has parts: strings, paths, segmentations."""
