"""Image inputs: lazily read messages, time that jumps, QoS that does not fit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from madm_core.errors import InvalidInputError
from madm_ros.image_conversion import array_to_message
from madm_ros.inputs import Frame, stamp_of
from madm_ros.node_parameters import COMPRESSED_IMAGE


def frame_of(message) -> Frame:
    return Frame(serialize_message(message), 1, 0.0)


def stamped(seconds: float) -> Image:
    header = Header(frame_id="a frame with a long name")
    header.stamp.sec, header.stamp.nanosec = int(seconds), round(seconds % 1 * 1e9)
    return array_to_message(np.zeros((2, 2), np.uint16), "16UC1", header)


def test_the_stamp_is_read_from_the_bytes():
    assert stamp_of(serialize_message(stamped(12.25))) == 12_250_000_000
    assert stamp_of(serialize_message(Image())) == 0
    assert stamp_of(b"\x00\x00\x00\x00" + (7).to_bytes(4, "big") + (9).to_bytes(4, "big")) == 7_000_000_009
    for nonsense in (b"\x00\x01", b"\xff" * 20, b"\0\1\0\0" + b"\xff" * 20):
        assert stamp_of(nonsense) is None


def test_images_are_decoded_with_header_and_facts(world, image_receiver):
    receiver = image_receiver()
    message = array_to_message(np.arange(6, dtype=np.uint16).reshape(2, 3), "16UC1", Header(frame_id="depth"))
    decoded = receiver.input.decode(frame_of(message))
    assert decoded.header == message.header
    np.testing.assert_array_equal(decoded.array, [[0, 1, 2], [3, 4, 5]])
    assert decoded.details == {"encoding": "16UC1", "height": 2, "width": 3}


def test_compressed_grey_jpegs_are_one_channel(world, image_receiver):
    receiver = image_receiver(COMPRESSED_IMAGE)
    grey = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))
    for picture in (grey, np.dstack([grey] * 3)):
        data = cv2.imencode(".jpg", picture)[1].tobytes()
        decoded = receiver.input.decode(frame_of(CompressedImage(format="jpeg", data=data)))
        assert decoded.array.shape == (48, 64)
        assert np.abs(decoded.array.astype(int) - grey).max() < 8


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00\x01\x00\x00", b"\xff" * 64, serialize_message(stamped(1.0))[:-3]],
    ids=["empty", "only a header", "noise", "cut short"],
)
def test_bytes_that_are_no_message_are_refused(world, image_receiver, raw):
    with pytest.raises(InvalidInputError) as error:
        image_receiver().input.decode(Frame(raw, 1, 0.0))
    assert error.value.reason in ("serialization", "encoding", "size", "data")


def test_bytes_of_any_kind_never_do_more_than_be_refused(world, image_receiver):
    """Byte-level mutations of a real message: an array or a refusal, nothing else."""
    receiver = image_receiver()
    good = serialize_message(stamped(3.0))
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(2000):
        mutated = bytearray(good)
        for position in rng.integers(4, len(good), rng.integers(1, 4)):
            mutated[position] = rng.integers(0, 256)
        try:
            receiver.input.decode(Frame(bytes(mutated[: rng.integers(12, len(good) + 1)]), 1, 0.0))
        except InvalidInputError:
            refused += 1
    assert refused > 500


def test_a_stamp_far_back_starts_a_new_epoch_and_small_steps_do_not(world, image_receiver):
    receiver = image_receiver()
    receiver.input.subscribe()
    publisher = world.node().create_publisher(Image, "/robot/image", 10)
    world.spin_until(lambda: publisher.get_subscription_count() > 0)
    for seconds, frames in ((100.0, 1), (99.8, 2), (100.1, 3), (20.0, 4), (20.1, 5), (0.0, 6), (20.2, 7)):
        publisher.publish(stamped(seconds))
        world.spin_until(lambda frames=frames: len(receiver.frames) == frames)
    epochs = [frame.epoch for frame in receiver.frames]
    assert epochs == [1, 1, 1, 2, 2, 2, 2]  # a stamp of 0 says nothing about time
    assert receiver.input.time_jumps == 1
    assert "jumped back by 80.100 s" in receiver.warnings[0]
    receiver.input.unsubscribe()
    assert not receiver.input.subscribed
    world.spin_until(lambda: publisher.get_subscription_count() == 0)


def test_a_publisher_whose_qos_does_not_fit_is_named(world, image_receiver):
    receiver = image_receiver(reliability="reliable")
    receiver.input.subscribe()
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    world.node("poor_driver").create_publisher(Image, "/robot/image", best_effort)
    world.spin_until(lambda: receiver.warnings)
    assert receiver.input.incompatible_publishers == 1
    for part in ("RELIABILITY", "/poor_driver", "best_effort", "input_reliability"):
        assert part in receiver.warnings[0]
