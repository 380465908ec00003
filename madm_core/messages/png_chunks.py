"""Whether the lengths in a PNG can be true. OpenCV allocates what a chunk claims, up to 4 GiB, before it reads it."""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_LENGTH_AND_TYPE = struct.Struct(">I4s")
_CHECKSUM_BYTES = 4


def chunks_fit(data: bytes) -> bool:
    """Whether every chunk up to the end mark lies within the data; data that are no PNG have none."""
    if not data.startswith(SIGNATURE):
        return True
    position = len(SIGNATURE)
    while position + _LENGTH_AND_TYPE.size <= len(data):
        length, kind = _LENGTH_AND_TYPE.unpack_from(data, position)
        position += _LENGTH_AND_TYPE.size + length + _CHECKSUM_BYTES
        if position > len(data):
            return False
        if kind == b"IEND":
            break
    return True
