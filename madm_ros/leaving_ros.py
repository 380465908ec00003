"""The end of a node: it leaves the ROS graph, or the process ends without having left it."""

from __future__ import annotations

import faulthandler

from rclpy.context import Context
from rclpy.node import Node
from rclpy.utilities import try_shutdown


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
