"""Publishers for the topics of a bag: raw messages go out as they were recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Literal

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import QosDurability, QosReliability

from madm_core.data.bag import TopicInfo
from madm_core.errors import DataError, MissingDependencyError
from madm_ros.message_types import message_class

logger = logging.getLogger(__name__)

Reliability = Literal["reliable", "best_effort", "recorded"]
Durability = Literal["volatile", "transient_local", "recorded"]


def offered_profile(info: TopicInfo, reliability: Reliability, durability: Durability, depth: int) -> QoSProfile:
    """The QoS to offer for a recorded topic; ``"recorded"`` takes what the first recorded publisher offered."""
    recorded = info.offered_qos[0] if info.offered_qos else None
    best_effort = reliability == "best_effort" or (
        reliability == "recorded" and recorded is not None and recorded.reliability is QosReliability.BEST_EFFORT
    )
    latched = durability == "transient_local" or (
        durability == "recorded" and recorded is not None and recorded.durability is QosDurability.TRANSIENT_LOCAL
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class BagPublishers:
    """One publisher a topic.

    Args:
        node: Owns the publishers.
        topics: The topics to publish with the types they are published as; a type whose Python package is missing is
            reported and skipped.
        reliability, durability, depth: See :func:`offered_profile`.

    Raises:
        DataError: Not a single topic can be published.
    """

    def __init__(
        self,
        node: Node,
        topics: Mapping[str, TopicInfo],
        reliability: Reliability = "reliable",
        durability: Durability = "recorded",
        depth: int = 100,
    ) -> None:
        self._publishers: dict[str, Publisher] = {}
        self.skipped: dict[str, str] = {}
        for topic, info in topics.items():
            try:
                kind = message_class(info.type)
            except MissingDependencyError as error:
                self.skipped[topic] = str(error)
                logger.warning("skipping %s (%d messages): %s", topic, info.count, error)
                continue
            profile = offered_profile(info, reliability, durability, depth)
            self._publishers[topic] = node.create_publisher(kind, topic, profile)
        if not self._publishers:
            raise DataError("nothing can be played", got="; ".join(self.skipped.values()) or "no topic with messages")

    @property
    def topics(self) -> list[str]:
        """The topics that are published."""
        return list(self._publishers)

    def publish(self, topic: str, data: bytes) -> None:
        """Publishes CDR bytes as they are."""
        self._publishers[topic].publish(data)

    def wait_for_subscribers(self, topics: Collection[str], timeout: float) -> None:
        """Waits until each of these topics has a subscriber; when none is named, until any topic has one.

        Raises:
            DataError: The time is up.
        """
        deadline = time.monotonic() + timeout
        named = [topic for topic in topics if topic in self._publishers]
        while True:
            lonely = [topic for topic, to in self._publishers.items() if to.get_subscription_count() == 0]
            missing = [topic for topic in named if topic in lonely] if named else lonely
            if not missing or (not named and len(lonely) < len(self._publishers)):
                break
            if time.monotonic() > deadline:
                raise DataError(
                    f"no subscriber came within {timeout:g} s",
                    got=f"none on {', '.join(missing)}",
                    do="check topic names (`ros2 topic info -v`), ROS_DOMAIN_ID and QoS",
                )
            time.sleep(0.02)
        # A publisher may know of its subscriber before the subscriber knows of it, and a message in between is lost.
        time.sleep(0.3)

    def wait_until_delivered(self, timeout: float) -> None:
        """Gives reliable subscribers up to ``timeout`` seconds to acknowledge the last messages."""
        deadline = time.monotonic() + timeout
        for topic, publisher in self._publishers.items():
            left = max(deadline - time.monotonic(), 0.0)
            if not publisher.wait_for_all_acked(Duration(nanoseconds=int(left * 1e9))):
                logger.warning("subscribers of %s had not acknowledged everything after %g s", topic, timeout)
