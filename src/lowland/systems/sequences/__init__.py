"""Sequences: predict the next symbol, attend, search for the whole."""
