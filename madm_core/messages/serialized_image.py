"""A ``sensor_msgs/Image`` read from its CDR bytes, its pixels left where they are.

Deserialising copies the pixels twice: from the bytes into a C structure, and from there into a Python array.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from madm_core.errors import InvalidInputError


@dataclass(frozen=True)
class SerializedImage:
    """The fields of a ``sensor_msgs/Image``; ``data`` is a read-only view of the message's bytes.

    Args:
        sec: Seconds of the header's stamp.
        nanosec: Nanoseconds of it.
        frame_id: The header's.
        height: Rows.
        width: Columns.
        encoding: A name of ``sensor_msgs/image_encodings``, unchecked.
        is_bigendian: Byte order of the pixels (not of the message).
        step: Bytes from row to row.
        data: The pixels.
    """

    sec: int
    nanosec: int
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


def parse_image(cdr: bytes | bytearray | memoryview) -> SerializedImage:
    """Read a serialised ``sensor_msgs/Image``.

    Raises:
        InvalidInputError: The bytes are not plain CDR, end early, or hold text that is not UTF-8 (reason
            ``serialization``).
    """
    buffer = memoryview(cdr).cast("B")
    try:
        if buffer[0] != 0 or buffer[1] > 1:
            raise ValueError(f"an encapsulation {bytes(buffer[:2]).hex()} instead of 0000 or 0001")
        order = "<" if buffer[1] else ">"
        sec, nanosec = struct.unpack_from(order + "iI", buffer, 4)
        frame_id, position = _string(buffer, 12, order)
        height, width = struct.unpack_from(order + "II", buffer, position := _aligned(position))
        encoding, position = _string(buffer, position + 8, order)
        (is_bigendian,) = struct.unpack_from("B", buffer, position)
        step, length = struct.unpack_from(order + "II", buffer, position := _aligned(position + 1))
        position += 8
        if position + length > len(buffer):
            raise ValueError(f"{length} bytes of pixels are announced, {len(buffer) - position} are there")
    except (struct.error, IndexError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise InvalidInputError(
            "the message cannot be read",
            reason="serialization",
            got=f"{len(buffer)} bytes: {error}",
            expected="a serialised sensor_msgs/msg/Image in plain CDR",
            do="the message was cut off on its way, or the topic carries another type",
        ) from error
    data = buffer[position : position + length].toreadonly()
    return SerializedImage(sec, nanosec, frame_id, height, width, encoding, is_bigendian, step, data)


def _aligned(position: int) -> int:
    """CDR puts four-byte numbers at multiples of 4, counted from behind the four encapsulation bytes."""
    return position + -position % 4


def _string(buffer: memoryview, position: int, order: str) -> tuple[str, int]:
    """A string, which ends in a zero byte that its length includes, and the position behind it."""
    position = _aligned(position)
    (length,) = struct.unpack_from(order + "I", buffer, position)
    start, end = position + 4, position + 4 + length
    if end > len(buffer):
        raise ValueError(f"a text of {length} bytes is announced, {len(buffer) - start} are there")
    return str(buffer[start : max(start, end - 1)], "utf-8"), end
