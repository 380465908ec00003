from __future__ import annotations

import numpy as np

from madm_core.data.bag_storage import BagMessage
from madm_core.data.event_clouds import event_cloud_fields
from madm_core.data.event_topics import POINT_CLOUD
from madm_core.data.message_types import stamp_fields, standard_types
from madm_core.errors import InvalidInputError
from madm_core.evaluation.live_frames import answered_images, answered_windows
from madm_core.evaluation.live_matching import LiveAnswers
from madm_core.evaluation.match_counts import MatchCounts
from madm_core.events import EVENT_DTYPE
from madm_core.messages.image_arrays import array_to_image_fields, image_to_array
from madm_core.modalities import EventModality, ThermalModality

IMAGE = "sensor_msgs/msg/Image"
START, STEP = 1_700_000_000_000_000_000, 100_000_000


def image(stamp_ns: int, array: np.ndarray, encoding: str) -> bytes:
    fields = array_to_image_fields(array, encoding)
    fields["data"] = np.frombuffer(fields["data"], np.uint8)
    return standard_types().encode(IMAGE, {"header": {"stamp": stamp_fields(stamp_ns)}, **fields})


def decode(message: BagMessage) -> np.ndarray:
    return image_to_array(standard_types().decode(message.data, IMAGE))


def test_images_are_encoded_as_the_node_encoded_them(tmp_path):
    """Smoothed over the frames that were not dropped, afresh after a jump back; what jumps back is not scored."""
    pictures = [
        np.random.default_rng(seed).integers(0, 3000 * (seed + 1), (16, 24)).astype(np.uint16) for seed in range(5)
    ]
    stamps = [START, START + STEP, START + 2 * STEP, START - 10 * STEP, START + 3 * STEP]
    messages = [
        BagMessage("/t", IMAGE, START + n * STEP, image(stamp, picture, "mono16"))
        for n, (stamp, picture) in enumerate(zip(stamps, pictures, strict=True))
    ]
    node = ThermalModality()
    with LiveAnswers(tmp_path / "answers") as answers:
        for stamp in (stamps[0], stamps[2], stamps[3], stamps[4]):  # the second frame was dropped
            answers.add_labels(image(stamp, np.full((16, 24), 1, np.uint8), "mono8"))
        counts = MatchCounts()
        found = list(answered_images(messages, decode, answers, ThermalModality(), counts))
        assert [frame.stamp_ns for frame in found] == [stamps[0], stamps[2], stamps[4]]
        assert counts.out_of_order == 1
        expected = [node.encode(pictures[0]), node.encode(pictures[2])]
        node.reset()
        node.encode(pictures[3])
        expected.append(node.encode(pictures[4]))
        for frame, encoded in zip(found, expected, strict=True):
            np.testing.assert_array_equal(frame.encoded.image, encoded.image)
            assert (frame.answer().labels == 1).all()


def test_an_image_that_cannot_be_used_is_counted(tmp_path):
    def refuse(message: BagMessage) -> np.ndarray:
        raise InvalidInputError("no picture", reason="encoding")

    with LiveAnswers(tmp_path / "answers") as answers:
        data = image(START, np.zeros((4, 4), np.uint8), "mono8")
        answers.add_labels(data)
        counts = MatchCounts()
        assert not list(answered_images([BagMessage("/t", IMAGE, 0, data)], refuse, answers, ThermalModality(), counts))
        assert counts.unusable == {"encoding": 1}


def test_grey_that_comes_as_colour_is_one_channel(tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (16, 24)).astype(np.uint8)
    colour = np.dstack([grey, grey, 255 - grey])
    messages = [
        BagMessage("/t", IMAGE, START + n * STEP, image(START + n * STEP, picture, "rgb8"))
        for n, picture in enumerate((np.dstack([grey] * 3), colour))
    ]
    with LiveAnswers(tmp_path / "answers") as answers:
        for message in messages:
            answers.add_labels(image(message.stamp_ns, np.zeros((16, 24), np.uint8), "mono8"))
        counts = MatchCounts()
        (found,) = answered_images(messages, decode, answers, ThermalModality(), counts)
    np.testing.assert_array_equal(found.encoded.image, ThermalModality().encode(grey).image)
    assert counts.unusable == {"encoding": 1}


def test_windows_are_the_nodes_and_end_at_their_own_times(tmp_path):
    """Messages of 40 ms into windows of 50 ms: a window carries the stamp of its last message, not of its end."""
    messages = []
    for number in range(5):
        events = np.zeros(40, EVENT_DTYPE)
        stamp = START + number * 40_000_000
        events["x"], events["y"], events["p"] = np.arange(40) % 24, number, 1
        events["t"] = stamp + np.arange(40) * 1_000_000
        data = standard_types().encode(POINT_CLOUD, event_cloud_fields(events, stamp, "camera"))
        messages.append(BagMessage("/events", POINT_CLOUD, stamp + 40_000_000, data))
    labels = np.full((16, 24), 2, np.uint8)
    with LiveAnswers(tmp_path / "answers") as answers:
        for number in (1, 2, 3, 4):  # windows of 0-50, 50-100, 100-150 ms, and the open one
            answers.add_labels(image(START + number * 40_000_000, labels, "mono8"))
        found = [
            (frame.stamp_ns - START, frame.answer_ns - START, frame.encoded.image.shape)
            for frame in answered_windows(messages, answers, EventModality(), MatchCounts(), (16, 24))
        ]
    ends, answered, shapes = zip(*found, strict=True)
    assert ends == (50_000_000, 100_000_000, 150_000_000, 200_000_000)
    assert answered == (40_000_000, 80_000_000, 120_000_000, 160_000_000)
    assert set(shapes) == {(16, 24, 3)}
