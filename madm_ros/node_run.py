"""From a process's start to its end with a node in it: ROS context, spinning, signals, and everything given back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from madm_core.interruption import EndingSignals
from madm_ros.process_memory import run_opencv_alone
from madm_ros.ros_session import enter_ros, leave_ros
from madm_ros.segmentation_node import SegmentationNode
from madm_ros.shared_memory import missing_shared_memory

_END_WITHIN_S = 45.0
"""More than the 30 s that a frame in work may take to come to its end."""


def run_node(
    ros_arguments: Sequence[str],
    make: Callable[[], SegmentationNode],
    work: Callable[[SegmentationNode], None] | None = None,
) -> None:
    """Make a node and let it work until it is told to end; Ctrl-C and SIGTERM are its normal ends.

    rclpy's signal handlers are not installed: its thread for them walks through a list of guard conditions that the
    main thread, woken by the same signal, frees together with the executor. Now and then a node then ends by SIGSEGV.

    Args:
        ros_arguments: For the ROS context: ``--ros-args ...``.
        make: Makes the node, in the default context.
        work: What is done with it; None: start as the parameter ``autostart`` says, and spin.

    Raises:
        ConfigError: ROS cannot use the arguments, or ``make`` a parameter.
    """
    run_opencv_alone()
    enter_ros(ros_arguments)
    node: SegmentationNode | None = None
    signals = EndingSignals()
    try:
        with signals:
            node = make()
            problem = missing_shared_memory()
            if problem:
                node.get_logger().warning(problem)
            if work is not None:
                work(node)
            else:
                if node.values.autostart:
                    node.autostart()
                spin(node, lambda: not signals.received)
    finally:
        leave_ros(node, limit_s=_END_WITHIN_S)


def spin(node: SegmentationNode, wanted: Callable[[], bool] = lambda: True) -> None:
    """Work until the context ends. An exception out of a callback is logged and counted, and the node goes on.

    Args:
        node: Its timers wake this loop, at the latest, every 0.05 s.
        wanted: Asked between callbacks; False ends the loop.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        while node.context.ok() and wanted():
            try:
                executor.spin_once()
            except ExternalShutdownException:
                return
            except Exception as error:
                if not node.context.ok():
                    return
                node.callback_errors.note("a callback", error)
    finally:
        executor.shutdown(timeout_sec=0.0)
