"""A process in ROS: how it enters, and that all is given back, or that it says where it stuck and ends all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, get_current_signal_handlers_options

from madm_core.errors import ConfigError
from madm_ros import ros_session
from madm_ros.ros_session import enter_ros, leave_ros, make_node

STUCK = """
import ctypes
from madm_ros.ros_session import leave_ros

class Stuck:
    def destroy_node(self):
        ctypes.PyDLL(None).sleep(120)  # in C, with Python's lock: no other thread of Python's can help

leave_ros(Stuck(), limit_s=0.5)
print("left")
"""


def test_a_middleware_that_does_not_return_ends_the_process_and_its_place_is_told():
    ended = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "Timeout" in ended.stderr and "in destroy_node" in ended.stderr


@pytest.fixture
def timer(monkeypatch):
    """What became of the timer that would end this process."""
    calls: list[str] = []
    monkeypatch.setattr(ros_session.faulthandler, "dump_traceback_later", lambda *_, **__: calls.append("set"))
    monkeypatch.setattr(ros_session.faulthandler, "cancel_dump_traceback_later", lambda: calls.append("cancelled"))
    return calls


def test_ros_leaves_the_signals_to_the_process(timer):
    enter_ros(["--ros-args", "-p", "model:=m"])
    assert rclpy.ok()
    assert get_current_signal_handlers_options() == SignalHandlerOptions.NO
    leave_ros(None)
    assert not rclpy.ok()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "nonsense"], "Couldn't parse parameter override rule"),
        (["-r", "__ns:=1bad"], "Couldn't parse remap rule"),
        (["--log-config-file", "absent"], "failed to initialize logging"),  # which comes after all else
    ],
)
def test_arguments_that_ros_cannot_use_have_a_reason(words, said):
    with pytest.raises(ConfigError, match=f"the ROS arguments cannot be used: got .*{said}"):
        enter_ros(["--ros-args", *words])
    assert not rclpy.ok()


def test_a_node_that_ros_cannot_make_has_a_reason():
    enter_ros(["--ros-args", "-p", "use_sim_time:=banana"])
    try:
        with pytest.raises(ConfigError, match="ROS cannot make the node: got .*'use_sim_time' to 'banana'"):
            make_node("leaving")
    finally:
        leave_ros(None)


def test_node_and_context_are_given_back_and_nothing_ends_the_process_later(timer):
    context = Context()
    context.init()
    node = Node("leaving", context=context)
    leave_ros(node, context)
    assert not context.ok()
    assert timer == ["set", "cancelled"]


def test_a_context_without_a_node_is_shut_down(timer):
    context = Context()
    context.init()
    leave_ros(None, context)
    assert not context.ok()


def test_an_error_on_the_way_out_is_not_followed_by_the_end_of_the_process(timer):
    class Failing:
        def destroy_node(self) -> None:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        leave_ros(Failing(), Context())
    assert timer == ["set", "cancelled"]
