"""The preview of one node: its newest frame, its state, and the server that shows both."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from madm_ros.preview.feed import PreviewFeed
from madm_ros.preview.server import PreviewServer
from madm_ros.preview.status import node_status

if TYPE_CHECKING:
    from madm_ros.segmentation_node import SegmentationNode


class Preview:
    """Open from the node's first moment, so that one can also watch it load or fail, until :meth:`close`.

    Args:
        node: Whose work is shown.
        port: TCP port on 127.0.0.1.

    Raises:
        ConfigError: The port cannot be had.
    """

    def __init__(self, node: SegmentationNode, port: int) -> None:
        self.feed = PreviewFeed()
        self._server = PreviewServer(port, self.feed, functools.partial(node_status, node, self.feed), node.warn)
        self._server.start()
        forwarding = f"ssh -L {port}:127.0.0.1:{port} <this machine>"
        node.get_logger().info(f"preview: {self._server.url} on this machine; from another: {forwarding}")

    def close(self) -> None:
        """Hang up and end the threads."""
        self._server.stop()
