"""Which frames of a bag get scored, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter
from madm_core.data.event_clouds import event_cloud_fields
from madm_core.data.event_topics import POINT_CLOUD
from madm_core.data.message_types import stamp_fields
from madm_core.errors import DataError
from madm_core.evaluation.bag_frames import check_topic, event_frames, image_frames, in_order, match_stamps
from madm_core.evaluation.labels import TrueLabels, labels_of_topic
from madm_core.evaluation.match_counts import MatchCounts
from madm_core.events import EVENT_DTYPE
from madm_core.labels import MADM11
from madm_core.messages.image_arrays import array_to_image_fields
from madm_core.modalities import modality_named

IMAGE = "sensor_msgs/msg/Image"
START = 1_700_000_000_000_000_000
MS = 1_000_000


def image(array: np.ndarray, encoding: str, stamp_ns: int) -> dict:
    return {"header": {"stamp": stamp_fields(stamp_ns)}, **array_to_image_fields(array, encoding)}


def stream(*stamps: int):
    return iter([TrueLabels(stamp, lambda: np.zeros((1, 1), np.uint8)) for stamp in stamps])


def paired(images, labels, tolerance=0):
    counts = MatchCounts()
    pairs = match_stamps(stream(*images), stream(*labels), tolerance, counts)
    return [(a.stamp_ns, b.stamp_ns) for a, b in pairs], counts.unlabelled, counts.unmatched_labels


def test_equal_stamps_are_paired_and_the_rest_is_counted():
    assert paired([1, 2, 3, 5], [2, 3, 4]) == ([(2, 2), (3, 3)], 2, 1)
    assert paired([], [1, 2]) == ([], 0, 2)
    assert paired([1, 2], []) == ([], 2, 0)


def test_within_a_tolerance_the_nearest_pair_wins():
    assert paired([0, 10, 20], [9, 21], tolerance=5) == ([(10, 9), (20, 21)], 1, 0)
    assert paired([6, 10], [10], tolerance=5) == ([(10, 10)], 1, 0)
    assert paired([10], [6, 10, 14], tolerance=5) == ([(10, 10)], 0, 2)
    assert paired([0, 10], [6], tolerance=5) == ([(10, 6)], 1, 0)


def test_swapped_neighbours_are_put_in_order_and_a_jump_back_is_counted():
    counts = MatchCounts()
    assert [item.stamp_ns for item in in_order(stream(3, 1, 2, 5, 4), counts)] == [1, 2, 3, 4, 5]
    assert counts.out_of_order == 0
    late = [*range(100, 140), 5, 140]
    assert [item.stamp_ns for item in in_order(stream(*late), counts)] == [*range(100, 141)]
    assert counts.out_of_order == 1


@pytest.fixture
def depth_bag(tmp_path) -> Path:
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(6):
            stamp = START + index * 100 * MS
            depth = np.full((4, 6), 1000 + index, np.uint16)
            labels = np.full((4, 6), index, np.uint8)
            bag.add("/depth", IMAGE, image(depth, "16UC1", stamp), stamp)
            if index != 2:
                # Recorded late and with a stamp of its own, as labels of a slow node are.
                bag.add("/labels", IMAGE, image(labels, "mono8", stamp + 3), stamp + 550 * MS)
        broken = image(np.zeros((4, 6), np.uint16), "16UC1", START + 600 * MS)
        bag.add("/depth", IMAGE, {**broken, "data": broken["data"][:7]}, START + 600 * MS)
        bag.add("/labels", IMAGE, image(np.zeros((4, 6), np.uint8), "mono8", START + 600 * MS), START + 1300 * MS)
    return tmp_path / "bag"


def test_images_meet_their_labels_whenever_those_were_recorded(depth_bag):
    counts = MatchCounts()
    with BagReader(depth_bag) as bag, BagReader(depth_bag) as other:
        labels = labels_of_topic(other, "/labels", MADM11)
        frames = list(image_frames(bag, "/depth", labels, counts, tolerance_ns=10))
    assert [(int(frame.raw[0, 0]) - 1000, int(frame.truth[0, 0])) for frame in frames] == [
        (i, i) for i in (0, 1, 3, 4, 5)
    ]
    assert (counts.matched, counts.unlabelled, counts.unmatched_labels) == (5, 1, 0)
    assert sum(counts.unusable.values()) == 1, "the picture that is cut short"


def test_colour_is_taken_and_refused_as_by_the_node(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for index, spread in enumerate((0, 5, 90)):
            stamp = START + index * 100 * MS
            picture = np.full((4, 6, 3), 100, np.uint8)
            picture[:, :, 0] += spread
            bag.add("/thermal", IMAGE, image(picture, "rgb8", stamp), stamp)
            bag.add("/labels", IMAGE, image(np.zeros((4, 6), np.uint8), "mono8", stamp), stamp)
    counts = MatchCounts()
    with BagReader(tmp_path / "bag") as bag, BagReader(tmp_path / "bag") as other:
        frames = list(image_frames(bag, "/thermal", labels_of_topic(other, "/labels", MADM11), counts))
    assert [frame.raw.tolist() for frame in frames] == [[[100] * 6] * 4] * 2
    assert counts.unusable == {"encoding": 1} and "in colour" in counts.examples["encoding"]


def test_exact_matching_finds_only_equal_stamps(depth_bag):
    counts = MatchCounts()
    with BagReader(depth_bag) as bag, BagReader(depth_bag) as other:
        assert not list(image_frames(bag, "/depth", labels_of_topic(other, "/labels", MADM11), counts))
    assert counts.unlabelled == 6 and counts.unmatched_labels == 5


def test_a_topic_of_another_sensor_is_refused_with_what_is_there(depth_bag):
    with BagReader(depth_bag) as bag:
        with pytest.raises(DataError, match=r"event data.*the bag holds /depth \(sensor_msgs/msg/Image, 7\)"):
            check_topic(bag, "/depth", modality_named("event", {}))
        check_topic(bag, "/depth", modality_named("depth", {}))


@pytest.fixture
def event_bag(tmp_path) -> Path:
    """One event a millisecond for 400 ms at x = its number of hundreds of ms; labels every 100 ms."""
    events = np.zeros(400, EVENT_DTYPE)
    events["t"] = START + np.arange(400) * MS
    events["x"], events["y"], events["p"] = np.arange(400) // 100, 2, 1
    with BagWriter(tmp_path / "bag") as bag:
        for begin in range(0, 400, 16):
            part = events[begin : begin + 16]
            stamp = int(part["t"][0])
            bag.add("/events", POINT_CLOUD, event_cloud_fields(part, stamp, "dvs"), stamp)
        for index in range(7):
            stamp = START + index * 100 * MS
            bag.add("/labels", IMAGE, image(np.full((4, 6), index, np.uint8), "mono8", stamp), stamp)
    return tmp_path / "bag"


def event_windows(path: Path, **parameters):
    counts = MatchCounts()
    with BagReader(path) as bag, BagReader(path) as other:
        labels = labels_of_topic(other, "/labels", MADM11)
        modality = modality_named("event", parameters)
        return list(event_frames(bag, "/events", labels, counts, modality)), counts


def test_event_windows_end_at_the_labels_and_hold_exactly_their_events(event_bag):
    frames, counts = event_windows(event_bag, window_ms=50.0)
    assert [int(frame.truth[0, 0]) for frame in frames] == [1, 2, 3, 4]
    for index, frame in enumerate(frames):
        assert frame.raw.shape == (3, 4, 6)
        expected = np.zeros((4, 6))
        expected[2, index] = 50.0  # events of [end - 50 ms, end): all before the label's own millisecond
        np.testing.assert_allclose(frame.raw.sum(axis=0), expected, atol=1e-4)
    assert counts.matched == 4 and counts.unmatched_labels == 3, "one label at the first event, two after the last"


def test_windows_by_count_take_the_last_events_before_the_label(event_bag):
    frames, _ = event_windows(event_bag, window="count", window_count=30)
    np.testing.assert_allclose([frame.raw.sum() for frame in frames[:4]], 30, atol=1e-4)
    both, _ = event_windows(event_bag, window="both", window_count=30, window_ms=20.0)
    np.testing.assert_allclose([frame.raw.sum() for frame in both[:4]], 20, atol=1e-4)
