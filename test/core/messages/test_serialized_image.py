"""Image messages read from their bytes: as rosbags writes them, by hand in both byte orders, and broken."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from madm_core.errors import InvalidInputError
from madm_core.messages.image_arrays import image_to_array
from madm_core.messages.serialized_image import parse_image


@pytest.fixture(scope="module")
def store():
    return get_typestore(Stores.ROS2_JAZZY)


def serialized(store, frame_id: str, encoding: str, pixels: np.ndarray) -> bytes:
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](12, 345), frame_id)
    height, width = pixels.shape
    data = pixels.reshape(-1).view(np.uint8)
    message = types["sensor_msgs/msg/Image"](header, height, width, encoding, 0, width * pixels.itemsize, data)
    return bytes(store.serialize_cdr(message, "sensor_msgs/msg/Image"))


@pytest.mark.parametrize("frame_id", ["", "c", "camera", "optical_frame", "grüße"])
@pytest.mark.parametrize(("encoding", "dtype"), [("mono8", np.uint8), ("16UC1", np.uint16), ("32FC1", np.float32)])
def test_every_alignment_of_texts_is_read(store, frame_id, encoding, dtype):
    pixels = np.arange(6, dtype=dtype).reshape(2, 3)
    image = parse_image(serialized(store, frame_id, encoding, pixels))
    assert (image.sec, image.nanosec, image.frame_id) == (12, 345, frame_id)
    assert (image.height, image.width, image.encoding, image.step) == (2, 3, encoding, 3 * pixels.itemsize)
    np.testing.assert_array_equal(image_to_array(image), pixels)


def test_pixels_are_a_read_only_view(store):
    raw = serialized(store, "camera", "16UC1", np.ones((4, 5), np.uint16))
    array = image_to_array(parse_image(raw))
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(raw, np.uint8))


def test_big_endian_messages_are_read():
    text = b"cam\0"
    raw = b"\0\0\0\0" + struct.pack(">iII", 1, 2, 4) + text + struct.pack(">II", 1, 2)
    raw += struct.pack(">I", 6) + b"mono8\0" + b"\0" + b"\0" + struct.pack(">II", 2, 2) + b"\7\x08"
    image = parse_image(raw)
    assert (image.sec, image.nanosec, image.frame_id, image.height, image.width) == (1, 2, "cam", 1, 2)
    np.testing.assert_array_equal(image_to_array(image), [[7, 8]])


def test_every_cut_and_every_foreign_start_is_refused(store):
    raw = serialized(store, "camera", "mono8", np.zeros((2, 3), np.uint8))
    for length in range(len(raw)):
        with pytest.raises(InvalidInputError) as error:
            parse_image(raw[:length])
        assert error.value.reason == "serialization"
    for start in (b"\1\0", b"\0\2", b"\0\x0b"):
        with pytest.raises(InvalidInputError, match="encapsulation"):
            parse_image(start + raw[2:])


def test_texts_that_are_no_text_are_refused(store):
    raw = serialized(store, "camera", "mono8", np.zeros((2, 3), np.uint8)).replace(b"camera", b"cam\xff\xfe\xfd")
    with pytest.raises(InvalidInputError, match="utf-8"):
        parse_image(raw)
