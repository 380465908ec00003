"""Topics of the node: what is published when, pictures and names of the classes."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from madm_core.labels import IGNORE, LabelSet
from madm_ros.image_conversion import message_to_array
from madm_ros.publishers import (
    TOPICS,
    ResultPublishers,
    topics_table,
)
from madm_ros.qos import LATCHED, RESULTS

LABEL_SET = LabelSet.named("madm9")


@pytest.fixture
def results(world):
    node = world.node("results")
    return ResultPublishers(node, node.get_logger().info)


def publish(results: ResultPublishers, header: Header, **changes) -> None:
    arguments = {
        "labels": np.array([[0, 5], [7, 255]], np.uint8),
        "confidence": np.array([[1.0, 0.5], [0.25, 0.0]], np.float32),
        "image": np.full((2, 2, 3), 0.2, np.float32),
        "overlay_opacity": 0.5,
        "min_confidence": 0.0,
        **changes,
    }
    results.publish(header, **arguments)


def listen(world, name: str, kind, qos=RESULTS) -> list:
    received: list = []
    world.nodes[-1].create_subscription(kind, name, received.append, qos)
    return received


def test_labels_and_confidence_carry_the_header_untouched(world, results):
    world.node()
    labels = listen(world, "segmentation/labels", Image)
    confidence = listen(world, "segmentation/confidence", Image)
    world.spin_until(lambda: results._labels.get_subscription_count() and results._confidence.get_subscription_count())
    header = Header(frame_id="thermal_optical_frame")
    header.stamp.sec, header.stamp.nanosec = 1675956550, 318916461
    publish(results, header)
    world.spin_until(lambda: labels and confidence)
    for message in (labels[0], confidence[0]):
        assert message.header == header
        assert (message.encoding, message.step, message.height, message.width) == ("mono8", 2, 2, 2)
    np.testing.assert_array_equal(message_to_array(labels[0]), [[0, 5], [7, 255]])
    np.testing.assert_array_equal(message_to_array(confidence[0]), [[255, 128], [64, 0]])


def test_pixels_below_min_confidence_become_255(world, results):
    world.node()
    labels = listen(world, "segmentation/labels", Image)
    world.spin_until(lambda: results._labels.get_subscription_count())
    publish(results, Header(), min_confidence=0.5)
    world.spin_until(lambda: labels)
    np.testing.assert_array_equal(message_to_array(labels[0]), [[0, 5], [255, 255]])


def test_pictures_are_made_only_while_somebody_listens(world, results, monkeypatch):
    from madm_ros import publishers

    made: list[str] = []
    real = publishers.overlay_image
    monkeypatch.setattr(publishers, "overlay_image", lambda *a: (made.append("overlay"), real(*a))[1])
    results.announce(LABEL_SET, 0.0)
    publish(results, Header())
    assert made == []
    tester = world.node()
    pictures: list = []
    subscription = tester.create_subscription(Image, "segmentation/overlay", pictures.append, RESULTS)
    previews = listen(world, "segmentation/input_preview", Image)
    world.spin_until(
        lambda: results._overlay.get_subscription_count() and results._input_preview.get_subscription_count()
    )
    publish(results, Header(frame_id="f"))
    world.spin_until(lambda: pictures and previews)
    assert made == ["overlay"]
    assert (pictures[0].encoding, pictures[0].header.frame_id) == ("rgb8", "f")
    np.testing.assert_array_equal(message_to_array(previews[0]), np.full((2, 2, 3), 51, np.uint8))
    tester.destroy_subscription(subscription)
    world.spin_until(lambda: results._overlay.get_subscription_count() == 0)
    publish(results, Header())
    assert made == ["overlay"]


def test_the_preview_gets_what_is_published_by_reference(world):
    node, shown = world.node("results"), []
    results = ResultPublishers(node, node.get_logger().info, shown.append)
    image = np.full((2, 2, 3), 0.2, np.float32)
    publish(results, Header(), image=image)
    assert shown == []  # without a label set there are no colours yet
    results.announce(LABEL_SET, 0.0)
    publish(results, Header(), image=image, min_confidence=0.5)
    assert shown[0].image is image and shown[0].label_set is LABEL_SET and shown[0].opacity == 0.5
    np.testing.assert_array_equal(shown[0].labels, [[0, 5], [255, 255]])  # as published, not as predicted


def test_names_and_legend_are_latched_for_those_who_come_later(world, results):
    results.announce(LABEL_SET, 0.0)
    world.spin_for(0.1)
    world.node()
    names = listen(world, "segmentation/label_names", String, LATCHED)
    legends = listen(world, "segmentation/legend", Image, LATCHED)
    world.spin_until(lambda: results._legend.get_subscription_count())
    results.tend_legend()
    world.spin_until(lambda: names and legends)
    content = json.loads(names[0].data)
    assert content["label_set"] == "madm9"
    assert content["ignore"] == IGNORE
    assert [entry["name"] for entry in content["classes"]] == list(LABEL_SET.names)
    assert [tuple(entry["color"]) for entry in content["classes"]] == list(LABEL_SET.colors)
    late = world.node("late_tester")
    again: list = []
    late.create_subscription(Image, "segmentation/legend", again.append, LATCHED)
    world.spin_until(lambda: again)
    assert again[0].data == legends[0].data
    results.tend_legend()
    world.spin_for(0.2)
    assert len(legends) == 1  # once for a label set


def test_label_info_is_published_where_vision_msgs_is_installed(world, message_packages_environment, monkeypatch):
    for folder in reversed(message_packages_environment["PYTHONPATH"].split(":")):
        monkeypatch.syspath_prepend(folder)
    vision_msgs = pytest.importorskip("vision_msgs.msg")
    lines: list[str] = []
    results = ResultPublishers(world.node("results"), lines.append)
    results.announce(LABEL_SET, 0.25)
    assert lines == []
    world.node()
    received = listen(world, "segmentation/label_info", vision_msgs.LabelInfo, LATCHED)
    world.spin_until(lambda: received)
    assert [(entry.class_id, entry.class_name) for entry in received[0].class_map] == list(enumerate(LABEL_SET.names))
    assert received[0].threshold == 0.25
    results.announce_threshold(0.5)
    world.spin_until(lambda: len(received) == 2)
    assert (received[1].threshold, len(received[1].class_map)) == (0.5, len(LABEL_SET))
    results.destroy()
    assert not [publisher for publisher in world.nodes[0].publishers if "segmentation" in publisher.topic_name]


def test_without_vision_msgs_the_apt_package_is_named(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "vision_msgs", None)
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", None)
    lines: list[str] = []
    ResultPublishers(world.node("results"), lines.append)
    assert "apt install ros-" in lines[0]
    assert "label_names" in lines[0]


def test_a_new_model_says_its_names_again(world, results):
    world.node()
    names = listen(world, "segmentation/label_names", String, LATCHED)
    results.announce(LABEL_SET, 0.0)
    world.spin_until(lambda: len(names) == 1)
    results.announce(LabelSet.named("madm11"), 0.0)
    world.spin_until(lambda: len(names) == 2)
    assert json.loads(names[1].data)["label_set"] == "madm11"


def test_the_table_names_every_topic():
    lines = topics_table().splitlines()
    assert len(lines) == 2 + len(TOPICS)
    assert all(line.count("|") == 5 for line in lines)
