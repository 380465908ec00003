"""Which words of a command line are for ROS."""

import pytest

from madm_ros.ros_arguments import split_ros_arguments


@pytest.mark.parametrize(
    ("words", "own", "ros"),
    [
        (["a", "--b"], ["a", "--b"], []),
        (["a", "--ros-args", "-r", "x:=y"], ["a"], ["--ros-args", "-r", "x:=y"]),
        (["--ros-args", "-p", "q:=1", "--", "a"], ["a"], ["--ros-args", "-p", "q:=1", "--"]),
        (["--ros-args", "-p", "q:=1", "--", "a", "--ros-args", "-r", "x:=y"], ["a"],
         ["--ros-args", "-p", "q:=1", "--", "--ros-args", "-r", "x:=y"]),
    ],
)  # fmt: skip
def test_words_are_split_as_rclpy_does(words, own, ros):
    assert split_ros_arguments(words) == (own, ros)
    utilities = pytest.importorskip("rclpy.utilities")
    assert utilities.remove_ros_args(["program", *words])[1:] == own
