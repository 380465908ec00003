"""The topics of a segmentation node that somebody else talks to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.node import Node

from madm_core.errors import MadmError
from madm_ros.publishers import CONFIDENCE, LABELS
from madm_ros.qos import describe, describe_publishers

_NOT_THE_SENSOR = ("/clock", "/parameter_events")


@dataclass(frozen=True)
class NodeTopics:
    """Where a segmentation node listens and speaks; full names.

    Args:
        node: The node.
        input: The sensor's topic.
        labels: Label images.
        confidence: Confidence images.
    """

    node: str
    input: str
    labels: str
    confidence: str

    @classmethod
    def below(cls, namespace: str) -> NodeTopics:
        """Those of a node that is started in a namespace of its own, where nobody else sends or listens."""
        return cls(
            f"{namespace}/segmentation", f"{namespace}/input", f"{namespace}/{LABELS.name}",
            f"{namespace}/{CONFIDENCE.name}",
        )  # fmt: skip


def topics_of_running_node(
    observer: Node, name: str, type_name: str, spin: Callable[[float], None], timeout_s: float
) -> NodeTopics:
    """Finds the topics of a running node by what it subscribes to and publishes, whatever they are remapped to.

    Args:
        observer: Asked about the ROS graph.
        name: The node, such as ``/robot/segmentation``.
        type_name: Message type of the sensor's topic.
        spin: Waits so many seconds.
        timeout_s: How long to look for it.

    Raises:
        MadmError: The node is not there, or has not exactly one topic of that type.
    """
    full = name if name.startswith("/") else f"/{name}"
    namespace, _, base = full.rpartition("/")
    end = time.monotonic() + timeout_s
    problem, got = "", ""
    while time.monotonic() < end:
        known = [f"{space.rstrip('/')}/{node}" for node, space in observer.get_node_names_and_namespaces()]
        if full in known:
            inputs = [
                topic
                for topic, types in observer.get_subscriber_names_and_types_by_node(base, namespace or "/")
                if type_name in types and topic not in _NOT_THE_SENSOR
            ]
            outputs = [topic for topic, _ in observer.get_publisher_names_and_types_by_node(base, namespace or "/")]
            labels = [topic for topic in outputs if topic.endswith(LABELS.name)]
            confidence = [topic for topic in outputs if topic.endswith(CONFIDENCE.name)]
            if len(inputs) == len(labels) == len(confidence) == 1:
                return NodeTopics(full, inputs[0], labels[0], confidence[0])
            problem = f"the node {full} is not a segmentation node that listens to {type_name}"
            got = f"it subscribes to {', '.join(inputs) or 'no topic of that type'} and publishes {', '.join(outputs)}"
        else:
            problem, got = f"there is no node {full}", f"nodes: {', '.join(sorted(known)) or 'none'}"
        spin(0.1)
    raise MadmError(
        problem,
        got=got,
        expected="an active segmentation node with a model for this bag",
        do="check `ros2 node list`, ROS_DOMAIN_ID, its state and its parameters image_message_type, event_message_type",
    )


def describe_topics(observer: Node, topics: NodeTopics) -> dict[str, str]:
    """Who listens and who speaks, with QoS."""
    listening = [
        f"{end.node_namespace.rstrip('/')}/{end.node_name} ({end.topic_type}; {describe(end.qos_profile)})"
        for end in observer.get_subscriptions_info_by_topic(topics.input)
    ]
    return {
        topics.input: f"{len(listening)} subscription(s): {', '.join(listening)}" if listening else "no subscription",
        topics.labels: describe_publishers(observer.get_publishers_info_by_topic(topics.labels)),
    }
