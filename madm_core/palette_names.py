"""The names of the palettes, for options and parameters that must not wait for numpy; the colours: ``palettes``."""

PALETTES = ("label_set", "color_blind")
"""``label_set``: the colours that the label set has; ``color_blind``: those of :mod:`madm_core.palettes`."""
