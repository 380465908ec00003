"""Health in every state: levels, problems, and the warning about silence."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from madm_core.modalities.input_statistics import InputStatistics
from madm_ros.image_conversion import array_to_message
from madm_ros.segmentation_node import SegmentationNode


@pytest.fixture
def statuses(world, stand_in):
    """Starts a node; returns it and a function that gives its next statuses by name."""

    def make(segmenter=None, **parameters):
        values = {"model": "m", "diagnostics_period_s": 0.1, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = SegmentationNode(
            load=lambda _: segmenter or stand_in(), context=world.context, parameter_overrides=overrides
        )
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
    assert set(found) == {f"segmentation: {part}" for part in ("model", "input", "output", "timing")}
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


@pytest.fixture
def camera(world):
    """Publishes the same depth picture of one distance, twenty times a second."""
    node = world.node("camera")
    publisher = node.create_publisher(Image, "/image", 10)
    message = array_to_message(np.full((16, 16), 3000, np.uint16), "16UC1", Header(frame_id="camera"))

    def publish():
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    return node.create_timer(0.05, publish)


def level_of(status, level):
    return lambda found: found[f"segmentation: {status}"].level == level


def test_what_the_watchdog_finds_has_the_level_of_the_parameters_and_ends_by_itself(statuses, camera, monkeypatch):
    node, following = statuses(warning_period_s=0.2)
    lines: list[str] = []
    monkeypatch.setattr(node.get_logger(), "info", lambda text: lines.append(text), raising=True)
    assert node.autostart()
    found = following(level_of("output", b"\x01"))
    assert "100.0% of all pixels are" in found["segmentation: output"].message
    values = {item.key: item.value for item in found["segmentation: output"].values}
    assert values["mean_confidence"] == "0.75" and values["top_class_share"] == "1"
    assert found["segmentation: input"].level == b"\x00"
    node.set_parameters([Parameter("error_on", value="class_collapse")])
    following(level_of("output", b"\x02"))
    node.set_parameters([Parameter("max_class_share", value=1.0)])
    following(level_of("output", b"\x00"))
    following(lambda found: any("class collapse is over" in line for line in lines))
    assert sum("class collapse is over" in line for line in lines) == 1


def test_a_class_without_a_name_does_not_end_diagnostics(statuses, camera, stand_in):
    class OneMore(stand_in):
        def segment(self, image):
            found = super().segment(image)
            found.labels[:] = len(self.label_set)
            return found

    node, following = statuses(segmenter=OneMore())
    assert node.autostart()
    output = following(level_of("output", b"\x01"))["segmentation: output"]
    assert {item.key: item.value for item in output.values}["top_class"] == "class 11, which has no name"
    assert "100.0% of all pixels are 'class 11, which has no name'" in output.message


def test_a_status_that_cannot_be_judged_is_an_error_and_the_others_are_told(statuses, monkeypatch):
    node, following = statuses(autostart=False)

    def fail():
        raise IndexError("a bug")

    monkeypatch.setattr(node.health, "_output", fail)
    found = following(lambda found: found["segmentation: model"].level == b"\x01")
    assert len(found) == 4
    assert found["segmentation: output"].level == b"\x02"
    assert found["segmentation: output"].message == "internal error in the status output: IndexError: a bug"
    assert "1 internal error(s), the last one: internal error in the status" in found["segmentation: model"].message
    assert int({item.key: item.value for item in found["segmentation: model"].values}["callback_errors"]) >= 1
    monkeypatch.undo()
    following(lambda found: all(status.level == b"\x00" for status in found.values()))


def test_a_watchdog_that_fails_leaves_the_statuses_their_values(statuses, camera, monkeypatch):
    node, following = statuses()

    def fail(*_):
        raise ValueError("a bug")

    monkeypatch.setattr(node.health, "_judge", fail)
    assert node.autostart()
    found = following(lambda found: "the watchdog: ValueError: a bug" in found["segmentation: model"].message)
    assert {item.key for item in found["segmentation: input"].values} > {"topic", "frames_received"}
    assert found["segmentation: output"].level == b"\x00"


def test_pictures_unlike_the_training_datas_and_stamps_of_another_clock_are_named(statuses, camera, stand_in):
    bright = {"picture_mean": 1.0, "picture_contrast": 0.0, "valid_share": 1.0}
    segmenter = stand_in(input_statistics=InputStatistics(3, bright, dict.fromkeys(bright, 0.01)))
    node, following = statuses(segmenter=segmenter, max_clock_skew_s=1e-6, error_on="unusual_input")
    assert node.autostart()
    message = following(level_of("input", b"\x02"))["segmentation: input"].message
    assert "pictures are unlike those that the model was trained with: picture_mean 0." in message
    assert "behind this node's clock" in message


def test_a_network_that_does_not_come_back_is_slow(statuses, camera, stand_in):
    gate = threading.Event()
    node, following = statuses(segmenter=stand_in(gate=gate), max_inference_s=0.3)
    assert node.autostart()
    found = following(level_of("timing", b"\x01"))
    assert "one frame has been at work for" in found["segmentation: timing"].message
    gate.set()
    node.set_parameters([Parameter("max_inference_s", value=1000.0)])
    following(level_of("timing", b"\x00"))


def test_lost_event_packets_are_reported_by_their_share(statuses, monkeypatch):
    node, following = statuses(input_timeout_s=60.0, max_lost_share=0.1)
    assert node.autostart()
    lost = [0]
    monkeypatch.setattr(type(node.stream.input), "packets", property(lambda self: (100, lost[0])))
    assert following()["segmentation: input"].level == b"\x00"
    lost[0] = 25
    found = following(level_of("input", b"\x01"))
    assert "of the event packets on /image are lost; expected 10.0% at most" in found["segmentation: input"].message
