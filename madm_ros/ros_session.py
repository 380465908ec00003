"""A process's time in ROS: it enters without ROS's own signal handlers, and leaves the graph or ends without that."""

from __future__ import annotations

import faulthandler
from collections.abc import Sequence

import rclpy
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from madm_core.errors import ConfigError


def enter_ros(arguments: Sequence[str]) -> None:
    """Makes the default context, without rclpy's signal handlers: they would end it while it is in use.

    Args:
        arguments: For the context: ``--ros-args ...``.

    Raises:
        ConfigError: ROS cannot use the arguments.
    """
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # RCLError or UnknownROSArgsError
        leave_ros(None)  # it may have come half way
        raise ConfigError("the ROS arguments cannot be used", got=str(error).strip()) from error


def make_node(name: str, namespace: str = "") -> Node:
    """Makes a node in the default context.

    Args:
        name: Its name, if the arguments of :func:`enter_ros` give it no other.
        namespace: As the name.

    Raises:
        ConfigError: ROS refuses it, as with a name of 256 characters or a ``use_sim_time`` that is no bool.
    """
    try:
        return rclpy.create_node(name, namespace=namespace)
    except (RuntimeError, ParameterException) as error:  # RuntimeError: RCLError
        raise ConfigError("ROS cannot make the node", got=str(error).strip()) from error


def leave_ros(node: Node | None, context: Context | None = None, *, limit_s: float = 10.0) -> None:
    """Destroys the node and shuts its context down.

    The middleware ends its threads in there, and while it waits for one of them no signal is heard. Should it wait for
    ever, the process writes where its threads are to stderr (``Timeout``, and their stacks) and ends with 1: whoever
    has told a node to end must not be left with one that is neither there nor gone. The timer is ``faulthandler``'s,
    which needs no lock of Python's; a process has one, and nothing else of this package uses it.

    Args:
        node: None: only the context.
        context: None: the default one.
        limit_s: Seconds until the process is ended.
    """
    faulthandler.dump_traceback_later(limit_s, exit=True, file=2)
    try:
        if node is not None:
            node.destroy_node()
        try_shutdown(context=context)
    finally:
        faulthandler.cancel_dump_traceback_later()
