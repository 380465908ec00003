"""Adaptation: from labelled colour pictures and unlabelled frames of another sensor to a segmentation network."""
