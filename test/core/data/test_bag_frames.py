from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from madm_core.data.bag_frames import BagConfig, bag_frames
from madm_core.data.bag_writer import BagWriter
from madm_core.errors import ConfigError, DataError
from madm_core.events import warm_up
from madm_core.messages.image_arrays import array_to_image_fields
from madm_core.modalities import DepthModality, EventModality, ThermalModality

START_NS = 1_700_000_000_000_000_000


def header(stamp_ns):
    return {"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}, "frame_id": "camera"}


@pytest.fixture
def recording(tmp_path):
    """Ten 10 Hz frames of 8-bit thermal pictures whose grey value is their number, one broken message, and a string."""
    with BagWriter(tmp_path / "bag") as writer:
        for index in range(10):
            stamp_ns = START_NS + index * 100_000_000
            fields = array_to_image_fields(np.full((6, 8), index, np.uint8), "mono8")
            writer.add("/thermal", "sensor_msgs/msg/Image", {"header": header(stamp_ns), **fields}, stamp_ns)
        fields = {**array_to_image_fields(np.zeros((6, 8), np.uint8), "mono8"), "encoding": "strange"}
        writer.add("/thermal", "sensor_msgs/msg/Image", {"header": header(stamp_ns), **fields}, stamp_ns + 1)
        writer.add("/chatter", "std_msgs/msg/String", {"data": "hello"}, stamp_ns + 2)
    return tmp_path / "bag"


def values(frames):
    return [int(frames.image(index)[0, 0, 0]) for index in range(len(frames))]


def extract(tmp_path, recording, modality=None, **changes):
    config = BagConfig(**{"bags": (recording,), "topic": "/thermal", **changes})
    return bag_frames(config, modality or ThermalModality(), tmp_path / "cache", progress=False)


def test_all_frames_in_order_without_the_unusable_one(tmp_path, recording, caplog):
    frames = extract(tmp_path, recording)
    assert values(frames) == list(range(10))
    assert frames.image(0).shape == (6, 8, 3)
    assert "1 messages on /thermal were left out" in caplog.text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stride": 3}, [0, 3, 6, 9]),
        ({"start_s": 0.25, "stop_s": 0.6}, [3, 4, 5]),
        ({"max_frames": 4}, [0, 1, 2, 3]),
    ],
)
def test_parts_of_a_recording(tmp_path, recording, changes, expected):
    assert values(extract(tmp_path, recording, **changes)) == expected


def test_the_cache_remembers_where_nothing_was_measured(tmp_path):
    """In the alpha channel of the kept pictures, which no picture shows."""
    depth = np.full((6, 8), 2000, np.uint16)
    depth[:, 3] = 0
    with BagWriter(tmp_path / "bag") as writer:
        for index, array in enumerate((depth, np.full((6, 8), 2000, np.uint16))):
            fields = array_to_image_fields(array, "16UC1")
            stamp_ns = START_NS + index
            writer.add("/depth", "sensor_msgs/msg/Image", {"header": header(stamp_ns), **fields}, stamp_ns)
    frames = extract(tmp_path, tmp_path / "bag", DepthModality(), topic="/depth")
    picture, valid = frames.image_and_valid(0)
    expected = DepthModality().encode(depth)
    np.testing.assert_array_equal(picture, np.round(expected.image * 255))
    np.testing.assert_array_equal(valid, depth > 0)
    assert frames.image_and_valid(1)[1] is None


def test_several_recordings_follow_each_other(tmp_path, recording):
    assert values(extract(tmp_path, recording, bags=(recording, recording), stride=5)) == [0, 5, 0, 5]


def test_frames_come_from_the_cache_until_something_changes(tmp_path, recording, monkeypatch):
    first = extract(tmp_path, recording)
    monkeypatch.setattr("madm_core.data.bag_frames._extract", lambda *rest: pytest.fail("extracted again"))
    assert extract(tmp_path, recording).files == first.files
    with pytest.raises(pytest.fail.Exception, match="extracted again"):
        extract(tmp_path, recording, stride=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"topic": "/thermol"}, "/thermol is not in the bag.*Did you mean '/thermal'"),
        ({"topic": "/chatter"}, "wrong type: got std_msgs/msg/String; expected .*Image"),
        ({"start_s": 100.0}, "no usable frame on /thermal: got no message in the time range"),
        ({"bags": (Path("nowhere"),)}, "there is no bag nowhere"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path, recording, changes, message):
    with pytest.raises(DataError, match=message):
        extract(tmp_path, recording, **changes)
    assert not list((tmp_path / "cache").rglob("*.png"))


def test_an_empty_range_is_refused_at_once():
    with pytest.raises(ConfigError, match="time range of the bag is empty"):
        BagConfig(bags=("x",), topic="/t", start_s=3.0, stop_s=2.0)


def point_cloud(stamp_ns, events):
    dtype = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i4"), ("p", "u1")])
    fields = [
        {"name": name, "offset": dtype.fields[name][1], "datatype": kind, "count": 1}
        for name, kind in (("x", 4), ("y", 4), ("t", 5), ("p", 2))
    ]
    data = np.array(events, dtype)
    return {
        "header": header(stamp_ns),
        "height": 1,
        "width": len(data),
        "fields": fields,
        "is_bigendian": False,
        "point_step": dtype.itemsize,
        "row_step": data.nbytes,
        "data": data.view(np.uint8).ravel(),
        "is_dense": True,
    }


def test_events_are_cut_into_windows(tmp_path):
    warm_up()
    with BagWriter(tmp_path / "bag") as writer:
        for index in range(6):
            stamp_ns = START_NS + index * 20_000_000
            events = [(index, 3, step * 1_000_000, 1) for step in range(20)]
            writer.add("/events", "sensor_msgs/msg/PointCloud2", point_cloud(stamp_ns, events), stamp_ns)
    modality = EventModality(window_ms=40.0)
    with pytest.raises(DataError, match="no usable frame.*sensor_size"):
        extract(tmp_path, tmp_path / "bag", modality, topic="/events")
    frames = extract(tmp_path, tmp_path / "bag", modality, topic="/events", sensor_size=(8, 10))
    assert len(frames) == 2
    image = frames.image(0)
    assert image.shape == (8, 10, 3)
    columns = np.flatnonzero((image != 128).any(axis=(0, 2)))
    assert columns.tolist() == [0, 1]


def colour_bag(path: Path, spreads: list[int]) -> Path:
    """rgb8 frames of grey 100 whose first channel is brighter by so much."""
    with BagWriter(path) as writer:
        for index, spread in enumerate(spreads):
            picture = np.full((6, 8, 3), 100, np.uint8)
            picture[:, :, 0] += spread
            stamp_ns = START_NS + index * 100_000_000
            fields = array_to_image_fields(picture, "rgb8")
            writer.add("/thermal", "sensor_msgs/msg/Image", {"header": header(stamp_ns), **fields}, stamp_ns)
    return path


def test_colour_is_left_out_as_by_the_node(tmp_path, caplog):
    frames = extract(tmp_path, colour_bag(tmp_path / "bag", [0, 5, 90, 120]))
    assert values(frames) == [100, 100], "grey that comes as colour is one channel"
    (line,) = [record.message for record in caplog.records if "left out" in record.message]
    assert line.startswith("2 messages on /thermal were left out: the picture is in colour: got 3 channels")


def test_a_recording_in_colour_is_no_target(tmp_path):
    with pytest.raises(DataError, match="no usable frame on /thermal: got the picture is in colour"):
        extract(tmp_path, colour_bag(tmp_path / "bag", [90]))
