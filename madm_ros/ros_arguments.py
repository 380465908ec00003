"""A command line in two: what is for the command, and what is for ROS."""

from __future__ import annotations

from collections.abc import Sequence


def split_ros_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words for the command, and those for ROS: from ``--ros-args`` to ``--`` or the end, as rclpy reads them."""
    own: list[str] = []
    ros: list[str] = []
    for_ros = False
    for word in words:
        for_ros = for_ros or word == "--ros-args"
        (ros if for_ros else own).append(word)
        for_ros = for_ros and word != "--"
    return own, ros
