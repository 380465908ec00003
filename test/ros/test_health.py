"""Health in every state: levels, problems, and the warning about silence."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter

from madm_ros.segmentation_node import SegmentationNode


@pytest.fixture
def statuses(world, stand_in):
    """Starts a node; returns it and a function that gives its next statuses by name."""

    def make(**parameters):
        values = {"model": "m", "diagnostics_period_s": 0.1, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = SegmentationNode(load=lambda _: stand_in(), context=world.context, parameter_overrides=overrides)
        world.add(node)
        received: list[DiagnosticArray] = []
        world.node().create_subscription(DiagnosticArray, "/diagnostics", received.append, 10)

        def following(done=lambda found: True):
            def found():
                return {status.name: status for status in received[-1].status} if received else {}

            received.clear()
            world.spin_until(lambda: found() and done(found()))
            return found()

        return node, following

    return make


def test_it_is_published_before_a_model_is_there(statuses):
    node, following = statuses(autostart=False)
    found = following()
    assert set(found) == {"segmentation: model", "segmentation: input", "segmentation: timing"}
    assert found["segmentation: model"].message == "unconfigured"
    assert {status.hardware_id for status in found.values()} == {"/segmentation"}
    assert node.problem == ""


def test_silence_is_a_warning_with_its_reason_and_ends_with_the_node(statuses):
    node, following = statuses(input_timeout_s=0.3)
    assert node.autostart()
    found = following(lambda found: "no message on /image" in found["segmentation: input"].message)
    assert found["segmentation: input"].level == b"\x01"
    assert "expected sensor_msgs/msg/Image" in found["segmentation: input"].message
    node.trigger_deactivate()
    assert following()["segmentation: input"].level == b"\x00"


def test_a_disabled_node_says_so_and_does_not_complain_about_silence(statuses):
    node, following = statuses(input_timeout_s=0.1)
    node.enabled = False
    assert node.autostart()
    found = following(lambda found: "disabled" in found["segmentation: model"].message)
    assert found["segmentation: input"].level == b"\x00"
