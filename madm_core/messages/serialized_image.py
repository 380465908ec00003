"""A ``sensor_msgs/Image`` read from its CDR bytes, its pixels left where they are.

Deserialising copies the pixels twice: from the bytes into a C structure, and from there into a Python array.
"""

from __future__ import annotations

from dataclasses import dataclass

from madm_core.errors import InvalidInputError
from madm_core.messages.cdr import CdrReader


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
    try:
        reader = CdrReader(cdr, "sensor_msgs/msg/Image", bad_text="strict")
        sec, nanosec, frame_id = reader.header()
        height, width, encoding = reader.number("I"), reader.number("I"), reader.string()
        is_bigendian, step = reader.number("B"), reader.number("I")
        data = reader.octets().toreadonly()
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            "the message cannot be read",
            reason="serialization",
            got=f"{len(cdr)} bytes: {error}",
            expected="a serialised sensor_msgs/msg/Image in plain CDR",
            do="the message was cut off on its way, or the topic carries another type",
        ) from error
    return SerializedImage(sec, nanosec, frame_id, height, width, encoding, is_bigendian, step, data)
