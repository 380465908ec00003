"""Quality of service: what the node asks for, what it offers, and how a mismatch is put into words."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo

RESULTS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""For what is computed from a frame (REP-2003 asks processed data to be offered reliably)."""

LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""For what is said once and kept for those who come later."""

DIAGNOSTICS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""What diagnostic_updater uses, so that any aggregator understands."""


def input_qos(reliability: str, depth: int) -> QoSProfile:
    """The profile for a sensor topic.

    Args:
        reliability: ``best_effort`` (receives from every publisher; REP-2003) or ``reliable``.
        depth: Messages kept while the node is busy: 1 for images, of which only the newest counts.
    """
    policies = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=policies[reliability])


def describe(profile: QoSProfile) -> str:
    """A profile in a few words: ``best_effort, volatile``."""
    return f"{profile.reliability.name.lower()}, {profile.durability.name.lower()}"


def describe_publishers(publishers: Sequence[TopicEndpointInfo]) -> str:
    """Who publishes a topic, with type and QoS, in one line; ``no publisher`` when nobody does."""
    if not publishers:
        return "no publisher"
    parts = [f"{_node_of(end)} ({end.topic_type}; {describe(end.qos_profile)})" for end in publishers]
    return f"{len(parts)} publisher(s): " + ", ".join(parts)


def _node_of(endpoint: TopicEndpointInfo) -> str:
    if "_UNKNOWN_" in endpoint.node_name:  # discovery finds endpoints before it knows whose they are
        return "a node whose name is not known yet"
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def incompatible_publishers(asked: QoSProfile, publishers: Sequence[TopicEndpointInfo]) -> list[TopicEndpointInfo]:
    """Publishers that offer less than is asked: best effort where reliable, or volatile where latched is needed."""
    return [
        endpoint
        for endpoint in publishers
        if (
            asked.reliability == ReliabilityPolicy.RELIABLE
            and endpoint.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        )
        or (
            asked.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and endpoint.qos_profile.durability == DurabilityPolicy.VOLATILE
        )
    ]


def policy_name(kind: QoSPolicyKind) -> str:
    """The name of a QoS policy in an incompatibility event: ``RELIABILITY``."""
    return str(qos_policy_name_from_kind(kind))
