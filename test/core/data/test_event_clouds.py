"""Events in point clouds: nothing lost, times exact."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.data.bag import BagReader
from madm_core.data.event_clouds import EventCloudConverter, event_cloud_fields
from madm_core.data.event_topics import EVENT_PACKET, POINT_CLOUD
from madm_core.data.message_types import header_stamp_ns, stamp_fields, standard_types
from madm_core.errors import InvalidInputError
from madm_core.events import EVENT_DTYPE
from madm_core.messages.event_messages import parse_point_cloud2

STAMP = 1_700_000_000_123_456_789


def some_events(count: int = 1000) -> np.ndarray:
    rng = np.random.default_rng(0)
    events = np.zeros(count, EVENT_DTYPE)
    events["x"], events["y"] = rng.integers(0, 1280, count), rng.integers(0, 720, count)
    events["t"] = STAMP + np.sort(rng.integers(0, 4_000_000_000, count))
    events["p"] = rng.integers(0, 2, count)
    return events


def test_cloud_holds_the_events_to_the_nanosecond():
    events = some_events()
    cdr = standard_types().encode(POINT_CLOUD, event_cloud_fields(events, STAMP, "event_camera"))
    for message in (cdr, standard_types().decode(cdr, POINT_CLOUD)):
        read, header = parse_point_cloud2(message)
        for name in "xytp":
            np.testing.assert_array_equal(read[name], events[name])
        assert (header.stamp_ns, header.frame_id) == (STAMP, "event_camera")


def test_empty_cloud():
    cdr = standard_types().encode(POINT_CLOUD, event_cloud_fields(some_events(0), STAMP, ""))
    assert len(parse_point_cloud2(cdr)[0]) == 0


@pytest.mark.parametrize("shift", [-1, 5_000_000_000])
def test_events_that_do_not_fit_are_an_error(shift):
    events = some_events(3)
    events["t"] = STAMP + shift
    with pytest.raises(InvalidInputError, match=r"4\.29"):
        event_cloud_fields(events, STAMP, "")


def test_event_arrays_keep_their_absolute_times():
    events = some_events(50)
    fields = {
        "header": {"stamp": stamp_fields(int(events["t"][-1])), "frame_id": "dvs"},
        "height": 720,
        "width": 1280,
        "events": [
            {"x": int(e["x"]), "y": int(e["y"]), "ts": stamp_fields(int(e["t"])), "polarity": bool(e["p"])}
            for e in events
        ],
    }
    cdr = standard_types().encode("dvs_msgs/msg/EventArray", fields)
    read, header = parse_point_cloud2(EventCloudConverter("dvs_msgs/msg/EventArray").convert(cdr))
    for name in "xytp":
        np.testing.assert_array_equal(read[name], events[name])
    assert header.stamp_ns == events["t"][0] and header.frame_id == "dvs"


def test_truncated_packet_is_an_error():
    fields = {"encoding": "mono", "width": 64, "height": 48, "events": np.zeros(80, np.uint8)}
    cdr = standard_types().encode(EVENT_PACKET, fields)
    with pytest.raises(InvalidInputError, match="truncated"):
        EventCloudConverter(EVENT_PACKET).convert(cdr[:-20])


def test_real_recording_keeps_every_event_and_stamp(shared_data):
    converter = EventCloudConverter(EVENT_PACKET)
    on = off = 0
    with BagReader(shared_data / "events_evt3_640x480") as bag:
        for message in bag.messages():
            events, header = parse_point_cloud2(converter.convert(message.data))
            assert header.stamp_ns == header_stamp_ns(message.data)
            if len(events):
                assert events["t"][0] == header.stamp_ns
                assert events["t"][-1] - events["t"][0] < 100_000_000
            on, off = on + int(events["p"].sum()), off + int((events["p"] == 0).sum())
    # The recording's owners state these counts in their own decoder test.
    assert (off, on) == (218291, 125183)
