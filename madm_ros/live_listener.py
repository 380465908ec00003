"""A node that hears what a segmentation node says: labels, confidence and diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from madm_core.evaluation.live_matching import LiveAnswers
from madm_ros.live_topics import NodeTopics
from madm_ros.publishers import DIAGNOSTICS_TOPIC
from madm_ros.qos import DIAGNOSTICS
from madm_ros.ros_session import leave_ros

_RECEIVE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1000, reliability=ReliabilityPolicy.RELIABLE)


class LiveListener:
    """Has a ROS context of its own, without signal handlers. A context manager.

    ``status`` holds the last level, message and values of each of the node's diagnostics (``model``, ``input``,
    ``timing``); ``on_labels`` gets serialized label images.
    """

    def __init__(self) -> None:
        self.context = Context()
        self.context.init(args=[])
        self.node = self.make_node("evaluate_bag")
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._node_name = ""
        self.status: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.on_labels: Callable[[bytes], None] = lambda data: None
        self._diagnostics = self.node.create_subscription(
            DiagnosticArray, DIAGNOSTICS_TOPIC.name, self._on_diagnostics, DIAGNOSTICS
        )

    def make_node(self, name: str, *remappings: str) -> Node:
        """A quiet node in the listener's context, remapped by ``from:=to``."""
        words = [word for remapping in remappings for word in ("-r", remapping)]
        return Node(
            name,
            context=self.context,
            cli_args=["--ros-args", *words] if words else [],
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )

    def listen(self, topics: NodeTopics, answers: LiveAnswers) -> None:
        """Subscribes to a node's results."""
        self._node_name = topics.node
        self._labels = self.node.create_subscription(Image, topics.labels, self._on_labels, _RECEIVE, raw=True)
        self._confidence = self.node.create_subscription(
            Image, topics.confidence, answers.add_confidence, _RECEIVE, raw=True
        )

    @property
    def connected(self) -> bool:
        """Whether somebody publishes both labels and confidence."""
        return bool(self._labels.get_publisher_count() and self._confidence.get_publisher_count())

    def spin(self, seconds: float) -> None:
        """Handles one message, if one comes in this time."""
        self._executor.spin_once(timeout_sec=seconds)

    def _on_labels(self, data: bytes) -> None:
        self.on_labels(data)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.hardware_id == self._node_name:
                values = {item.key: item.value for item in status.values}
                self.status[status.name.rpartition(": ")[2]] = (status.level, status.message, values)

    def __enter__(self) -> LiveListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        leave_ros(self.node, self.context)
