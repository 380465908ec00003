"""What the node subscribes to is the model's choice."""

from __future__ import annotations

import pytest

from madm_core.errors import ConfigError, MissingDependencyError
from madm_core.modalities import DepthModality, EventModality, ThermalModality
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.node_parameters import COMPRESSED_IMAGE, IMAGE, POINT_CLOUD, NodeParameters
from madm_ros.pipeline import Model
from madm_ros.stream import Stream
from madm_ros.throttled_log import ThrottledLog


@pytest.fixture
def stream(world, stand_in):
    def make(modality, **parameters) -> Stream:
        values = NodeParameters(**parameters)
        warn = ThrottledLog(print, lambda: 1.0)
        model = Model(stand_in(modality=modality), modality, 0.0)
        return Stream(world.node(), model, None, FrameStatistics(), parameters=lambda: values, warn=warn)

    return make


@pytest.mark.parametrize("modality", [DepthModality(), ThermalModality()])
@pytest.mark.parametrize("type_name", [IMAGE, COMPRESSED_IMAGE])
def test_image_models_listen_to_images(stream, modality, type_name):
    made = stream(modality, image_message_type=type_name)
    assert (made.input.topic, made.input.type_name, made.input.qos.depth) == ("/image", type_name, 1)
    assert stream(modality, queue_policy="every", queue_limit=7).input.qos.depth == 7


def test_event_models_listen_to_events_and_keep_many(stream):
    made = stream(EventModality(), event_message_type=POINT_CLOUD, event_width=8, event_height=6, event_queue_depth=321)
    assert (made.input.topic, made.input.type_name, made.input.qos.depth) == ("/events", POINT_CLOUD, 321)
    with pytest.raises(ConfigError, match="event_width"):
        stream(EventModality(), event_message_type=POINT_CLOUD)


def test_a_message_package_that_is_missing_is_named(stream, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "dvs_msgs", None)
    monkeypatch.setitem(sys.modules, "dvs_msgs.msg", None)
    with pytest.raises(MissingDependencyError, match="apt install ros-.*-dvs-msgs"):
        stream(EventModality(), event_message_type="dvs_msgs/msg/EventArray")


def test_a_paused_stream_is_not_subscribed(stream):
    made = stream(DepthModality())
    made.start(enabled=False)
    assert not made.input.subscribed
    made.enable(True)
    assert made.input.subscribed
    assert made.stop()
    assert not made.input.subscribed
