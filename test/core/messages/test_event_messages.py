"""Event messages from bytes that another serialiser wrote."""

from __future__ import annotations

import types

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from madm_core.errors import InvalidInputError
from madm_core.events.event_array import EVENT_DTYPE
from madm_core.messages.event_messages import (
    EVENT_MESSAGE_DEFINITIONS,
    parse_event_array,
    parse_event_packet,
    parse_point_cloud2,
)


@pytest.fixture(scope="module")
def store():
    store = get_typestore(Stores.ROS2_JAZZY)
    found = {}
    for name, text in EVENT_MESSAGE_DEFINITIONS.items():
        found.update(get_types_from_msg(text, name))
    store.register(found)
    return store


def header(store, frame_id="camera", sec=1_700_000_000, nanosec=5):
    stamp = store.types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
    return store.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


@pytest.mark.parametrize("frame_id", ["", "a", "camera", "longer/frame"])
def test_event_packets_are_views(store, frame_id):
    kind = "event_camera_msgs/msg/EventPacket"
    data = np.arange(11, dtype=np.uint8)
    message = store.types[kind](
        header=header(store, frame_id), height=48, width=64, seq=2**40, time_base=2**50, encoding="libcaer_cmp",
        is_bigendian=True, events=data,
    )  # fmt: skip
    cdr = bytes(store.serialize_cdr(message, kind))
    packet, found = parse_event_packet(cdr)
    assert (packet.width, packet.height, packet.seq, packet.time_base) == (64, 48, 2**40, 2**50)
    assert (packet.encoding, packet.is_bigendian) == ("libcaer_cmp", True)
    assert packet.data.tolist() == data.tolist() and not packet.data.flags.owndata
    assert packet.stamp_ns == found.stamp_ns == 1_700_000_000_000_000_005
    assert found.frame_id == frame_id


@pytest.mark.parametrize("package", ["dvs_msgs", "prophesee_event_msgs"])
@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "abcd"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_event_arrays(store, package, frame_id, count):
    rng = np.random.default_rng(count)
    kind, event = store.types[f"{package}/msg/EventArray"], store.types[f"{package}/msg/Event"]
    time = store.types["builtin_interfaces/msg/Time"]
    rows = [(int(a), int(b), int(c), int(d)) for a, b, c, d in rng.integers(0, (65536, 65536, 10**9, 2), (count, 4))]
    events = [event(x=x, y=y, ts=time(sec=1_700_000_000, nanosec=ns), polarity=bool(p)) for x, y, ns, p in rows]
    message = kind(header=header(store, frame_id), height=480, width=640, events=events)
    cdr = bytes(store.serialize_cdr(message, kind.__msgtype__))
    for padding in (b"", b"\0\0\0"):
        found, width, height, head = parse_event_array(cdr + padding)
        assert (width, height, head.frame_id) == (640, 480, frame_id)
        assert found.tolist() == [(x, y, 1_700_000_000 * 10**9 + ns, p) for x, y, ns, p in rows]


def point_cloud(store, points, fields, **changes):
    kind, field = store.types["sensor_msgs/msg/PointCloud2"], store.types["sensor_msgs/msg/PointField"]
    message = kind(
        header=header(store), height=1, width=len(points),
        fields=[field(name=name, offset=offset, datatype=datatype, count=1) for name, offset, datatype in fields],
        is_bigendian=False, point_step=points.itemsize, row_step=points.nbytes,
        data=np.frombuffer(points.tobytes(), np.uint8), is_dense=True,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(message, name, value)
    return message


SHORT = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<u4"), ("p", "i1")])
SHORT_FIELDS = (("x", 0, 4), ("y", 2, 4), ("t", 4, 6), ("p", 8, 1))
STAMP = 1_700_000_000_000_000_005


def test_point_clouds_as_objects_and_as_bytes(store):
    points = np.array([(3, 4, 10, 1), (5, 6, 2_000_000, -1)], SHORT)
    message = point_cloud(store, points, SHORT_FIELDS)
    cdr = bytes(store.serialize_cdr(message, "sensor_msgs/msg/PointCloud2"))
    for source in (message, cdr):
        events, head = parse_point_cloud2(source)
        assert events.tolist() == [(3, 4, STAMP + 10, 1), (5, 6, STAMP + 2_000_000, 0)]
        assert head.frame_id == "camera"


@pytest.mark.parametrize(("first", "base"), [(0.25, STAMP), (1_700_000_000.25, 0)])
def test_times_in_seconds_and_pixels_in_floating_point(store, first, base):
    points = np.array(
        [(3, 4, first, 1), (np.nan, 1, first, 1), (70_000, -1, first + 0.5, 0)],
        [("x", "<f4"), ("y", "<f4"), ("t", "<f8"), ("p", "<f4")],
    )
    fields = (("x", 0, 7), ("y", 4, 7), ("t", 8, 8), ("p", 16, 7))
    events, _ = parse_point_cloud2(point_cloud(store, points, fields))
    assert events["x"].tolist() == [3, 65535] and events["y"].tolist() == [4, 65535]
    assert np.abs(events["t"] - (base + round(first * 1e9) + np.array([0, 5 * 10**8]))).max() <= 256


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("datatype", "code", "outside"), [("i1", 1, [-3]), ("u1", 2, []), ("<u4", 6, [65536, 2**32 - 1])]
)
def test_pixels_of_any_integer_type(store, datatype, code, outside):
    values = [0, 5, 100, *outside]
    formats = [datatype, datatype, "<u4", "u1"]
    dtype = np.dtype({"names": list("xytp"), "formats": formats, "offsets": [0, 4, 8, 12]})
    points = np.array([(value, value, 0, 1) for value in values], dtype)
    fields = (("x", 0, code), ("y", 4, code), ("t", 8, 6), ("p", 12, 2))
    events, _ = parse_point_cloud2(point_cloud(store, points, fields))
    assert events["x"].tolist() == events["y"].tolist() == [0, 5, 100] + [65535] * len(outside)


@pytest.mark.parametrize("point_step", [9, 2**31, 2**32 - 1])
def test_a_cloud_without_points_is_empty_whatever_their_size(store, point_step):
    cloud = point_cloud(store, np.zeros(0, SHORT), SHORT_FIELDS, point_step=point_step)
    events, head = parse_point_cloud2(cloud)
    assert len(events) == 0 and events.dtype == EVENT_DTYPE and head.frame_id == "camera"


def test_point_clouds_that_hold_no_events(store):
    points = np.zeros(2, SHORT)
    for fields, reason in ((SHORT_FIELDS[:3], "fields"), ((*SHORT_FIELDS[:3], ("p", 8, 9)), "fields")):
        with pytest.raises(InvalidInputError, match="x, y, t, p") as caught:
            parse_point_cloud2(point_cloud(store, points, fields))
        assert caught.value.reason == reason
    for changes in ({"width": 3}, {"point_step": 5}):
        with pytest.raises(InvalidInputError) as caught:
            parse_point_cloud2(point_cloud(store, points, SHORT_FIELDS, **changes))
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize("parse", [parse_event_packet, parse_event_array, parse_point_cloud2])
def test_bytes_that_are_cut_or_foreign(parse, store):
    for cdr in (b"", b"\0\1", b"\0\x03\0\0abc", b"\xff" * 40):
        with pytest.raises(InvalidInputError) as caught:
            parse(cdr)
        assert caught.value.reason == "cdr"
    kind = "event_camera_msgs/msg/EventPacket"
    whole = bytes(
        store.serialize_cdr(
            store.types[kind](
                header=header(store), height=48, width=64, seq=1, time_base=0, encoding="evt3", is_bigendian=False,
                events=np.zeros(100, np.uint8),
            ),
            kind,
        )
    )  # fmt: skip
    for length in range(4, len(whole)):
        if parse is parse_event_packet:
            with pytest.raises(InvalidInputError, match="truncated"):
                parse(whole[:length])


def test_an_announced_length_is_not_believed(store):
    kind = "dvs_msgs/msg/EventArray"
    cdr = bytearray(store.serialize_cdr(store.types[kind](header=header(store), height=1, width=1, events=[]), kind))
    cdr[-4:] = b"\xff\xff\xff\x7f"
    with pytest.raises(InvalidInputError, match="truncated"):
        parse_event_array(cdr)


def test_rclpy_like_messages_need_no_rosbags():
    data = np.array([(1, 2, 3, 1)], SHORT).tobytes()
    fields = [
        types.SimpleNamespace(name=name, offset=offset, datatype=datatype) for name, offset, datatype in SHORT_FIELDS
    ]
    message = types.SimpleNamespace(
        header=types.SimpleNamespace(stamp=types.SimpleNamespace(sec=1, nanosec=0), frame_id="f"),
        fields=fields, width=1, height=1, is_bigendian=False, point_step=9, row_step=9, data=data,
    )  # fmt: skip
    assert parse_point_cloud2(message)[0].tolist() == [(1, 2, 1_000_000_003, 1)]
