"""The sensors as messages: the right types, equal stamps, and events that read back exactly."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from madm_core.data.event_topics import EVENT_PACKET, POINT_CLOUD, EventMessageReader
from madm_core.data.message_types import header_stamp_ns, standard_types
from madm_core.messages.image_arrays import image_to_array
from madm_core.streetworld import SENSORS
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.drive import drive
from madm_core.streetworld.messages import FRAME_ID, StreetMessages
from madm_core.streetworld.world import StreetWorld

START = 1_700_000_000_000_000_000
CAMERA = Camera(24, 40)


@pytest.fixture(scope="module")
def instants():
    return list(islice(drive(StreetWorld(1, CAMERA), SENSORS, period_ns=100_000_000, event_steps=2), 5))


def test_pictures_of_an_instant_have_its_stamp_and_its_pixels(instants):
    messages = StreetMessages(CAMERA, START)
    first = {message.topic: message for message in messages.of(instants[0])}
    assert set(first) == set(messages.topics(SENSORS)) - {"events"}, "no events before the first picture"
    encodings = {}
    for topic, message in first.items():
        decoded = standard_types().decode(message.data, message.type)
        assert header_stamp_ns(message.data) == START == message.stamp_ns
        assert decoded.header.frame_id == FRAME_ID
        assert (decoded.height, decoded.width) == (24, 40)
        if topic.endswith("camera_info"):
            np.testing.assert_allclose(decoded.k.reshape(3, 3), CAMERA.matrix)
            np.testing.assert_allclose(decoded.p.reshape(3, 4)[:, :3], CAMERA.matrix)
        else:
            encodings[topic] = decoded.encoding
            name = topic.split("/")[0]
            np.testing.assert_array_equal(image_to_array(decoded), getattr(instants[0], name))
    assert encodings == {
        "rgb/image_raw": "rgb8", "depth/image_raw": "32FC1", "thermal/image_raw": "mono16", "labels": "mono8",
    }  # fmt: skip


@pytest.mark.parametrize(("events_as", "kind"), [("point_cloud2", POINT_CLOUD), ("event_packet", EVENT_PACKET)])
def test_events_follow_their_stamp_and_every_stamp_has_labels(instants, events_as, kind):
    messages = StreetMessages(CAMERA, START, events_as)
    assert messages.topics(SENSORS)["events"] == kind
    outgoing = [message for instant in instants for message in messages.of(instant)]
    labelled = {message.stamp_ns for message in outgoing if message.topic == "labels"}
    assert len(labelled) == 5
    reader = EventMessageReader(kind)
    packets = [message for message in outgoing if message.topic == "events"]
    assert len(packets) == 4 and {message.stamp_ns for message in packets} <= labelled
    for message, instant in zip(packets, instants[1:], strict=True):
        batch = reader.read(message.data)
        assert batch.stamp_ns == message.stamp_ns == START + instant.time_ns - 50_000_000
        for name in "xyp":
            np.testing.assert_array_equal(batch.events[name], instant.events[name])
        times = instant.events["t"] + START
        if kind == EVENT_PACKET:  # a packet's stamp is by definition that of its first event
            times = times - times[0] + message.stamp_ns
            assert batch.size == (24, 40)
        np.testing.assert_array_equal(batch.events["t"], times)


def test_pictures_come_at_their_rate_and_labels_with_every_instant(instants):
    assert [instant.rgb is not None for instant in instants] == [True, False, True, False, True]
    assert [instant.time_ns for instant in instants] == [0, 50_000_000, 100_000_000, 150_000_000, 200_000_000]
    assert all(instant.labels is not None for instant in instants)


def test_instances_come_beside_the_labels_when_asked_for(instants):
    messages = StreetMessages(CAMERA, START, instances=True)
    assert messages.topics(("rgb",))["instances"] == "sensor_msgs/msg/Image"
    sent = {message.topic: message for message in messages.of(instants[0])}
    decoded = standard_types().decode(sent["instances"].data, sent["instances"].type)
    np.testing.assert_array_equal(image_to_array(decoded), instants[0].instances)
    assert sent["instances"].stamp_ns == sent["labels"].stamp_ns
