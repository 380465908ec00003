"""QoS: what is asked and offered, and mismatches in words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy

from madm_ros.qos import (
    LATCHED,
    RESULTS,
    describe,
    describe_publishers,
    incompatible_publishers,
    input_qos,
    policy_name,
)


def endpoint(
    reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> SimpleNamespace:
    return SimpleNamespace(
        node_name="driver",
        node_namespace="/robot",
        topic_type="sensor_msgs/msg/Image",
        qos_profile=QoSProfile(depth=1, reliability=reliability, durability=durability),
    )


def test_profiles_are_as_documented():
    sensor = input_qos("best_effort", 1)
    assert (sensor.reliability, sensor.depth, sensor.history) == (
        ReliabilityPolicy.BEST_EFFORT,
        1,
        HistoryPolicy.KEEP_LAST,
    )
    assert input_qos("reliable", 9).reliability == ReliabilityPolicy.RELIABLE
    assert RESULTS.reliability == ReliabilityPolicy.RELIABLE
    assert (LATCHED.durability, LATCHED.depth) == (DurabilityPolicy.TRANSIENT_LOCAL, 1)
    with pytest.raises(KeyError):
        input_qos("perhaps", 1)


def test_publishers_are_described_with_node_type_and_qos():
    assert describe_publishers([]) == "no publisher"
    text = describe_publishers([endpoint(ReliabilityPolicy.BEST_EFFORT)])
    assert text == "1 publisher(s): /robot/driver (sensor_msgs/msg/Image; best_effort, volatile)"
    nameless = endpoint(ReliabilityPolicy.RELIABLE)
    nameless.node_name = "_NODE_NAME_UNKNOWN_"
    assert "a node whose name is not known yet (sensor_msgs" in describe_publishers([nameless])
    assert describe(LATCHED) == "reliable, transient_local"


def test_only_publishers_that_offer_less_are_incompatible():
    poor, good = endpoint(ReliabilityPolicy.BEST_EFFORT), endpoint(ReliabilityPolicy.RELIABLE)
    latched = endpoint(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
    assert incompatible_publishers(input_qos("reliable", 1), [poor, good]) == [poor]
    assert incompatible_publishers(input_qos("best_effort", 1), [poor, good]) == []
    assert incompatible_publishers(LATCHED, [good, latched]) == [good]


def test_policies_have_names():
    assert policy_name(QoSPolicyKind.RELIABILITY) == "RELIABILITY"
