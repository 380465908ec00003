"""Data on disk: bags, data sets and checks. Import the modules by name; nothing is loaded before it is needed."""

KINDS = ("cityscapes", "deliver", "fmb", "dsec", "folder", "bag", "streetworld")
"""The ``kind`` of a data set in a configuration; :func:`madm_core.data.sources.open_frames` opens them."""
