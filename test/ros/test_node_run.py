"""A node's process from start to end: signals, callbacks that fail, and what is given back."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, get_current_signal_handlers_options

from madm_core.errors import ConfigError
from madm_ros.callback_errors import CallbackErrors
from madm_ros.node_run import run_node, spin
from madm_ros.segmentation_node import SegmentationNode


@pytest.fixture
def node(context):
    node = Node("segmentation", context=context)
    node.callback_errors = CallbackErrors(lambda kind, text: None)
    yield node
    node.destroy_node()


def test_a_failing_callback_is_counted_and_the_spin_goes_on(context, node):
    calls: list[int] = []

    def callback() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("a bug")
        if len(calls) == 3:
            threading.Thread(target=context.shutdown).start()

    node.create_timer(0.01, callback)
    spin(node)
    assert len(calls) >= 3
    assert node.callback_errors.count == 1
    assert node.callback_errors.latest == "internal error in a callback: ValueError: a bug"


def test_a_spin_ends_when_it_is_not_wanted_any_more(context, node):
    calls: list[int] = []
    node.create_timer(0.01, lambda: calls.append(1))
    spin(node, lambda: len(calls) < 5)
    assert len(calls) == 5
    assert context.ok()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_and_a_second_one_is_not_heard(stand_in, signals_come_back, number):
    ends: list[str] = []

    class Watched(SegmentationNode):
        def destroy_node(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)  # launch's own, after the terminal's
            super().destroy_node()
            ends.append("destroyed")

    def work(node: SegmentationNode) -> None:
        assert get_current_signal_handlers_options() == SignalHandlerOptions.NO
        os.kill(os.getpid(), number)
        ends.append("not interrupted")

    run_node([], lambda: Watched(load=lambda values: stand_in()), work)
    assert ends == ["destroyed"]
    assert not rclpy.ok()


def test_a_signal_whose_exception_is_lost_ends_the_spin_all_the_same(stand_in, signals_come_back, monkeypatch):
    """Python prints and forgets what a destructor raises."""
    lost: list[type[BaseException]] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: lost.append(told.exc_type))

    class Loud:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    def make() -> SegmentationNode:
        node = SegmentationNode(load=lambda values: stand_in())
        node.create_timer(0.2, Loud)
        return node

    run_node(["--ros-args", "-p", "model:=m"], make)
    assert [kind.__name__ for kind in lost] == ["Interrupted"]
    assert not rclpy.ok()


def test_arguments_that_ros_cannot_use_have_a_reason(signals_come_back):
    with pytest.raises(ConfigError, match="the ROS arguments cannot be used"):
        run_node(["--ros-args", "-p", "nonsense"], lambda: pytest.fail("a node was made"))
    assert not rclpy.ok()
