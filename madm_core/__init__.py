"""MADM: semantic segmentation for depth, thermal and event cameras without labels. This library needs no ROS."""

__version__ = "0.1.0"
