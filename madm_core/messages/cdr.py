"""Serialised ROS messages read field by field, without copying what is large."""

from __future__ import annotations

import struct

from madm_core.errors import InvalidInputError


class CdrReader:
    """Reads primitives of a CDR buffer in order; alignment counts from behind the four encapsulation bytes.

    Args:
        cdr: The message's bytes.
        message: The message's type, for errors.
        bad_text: What becomes of text that is not UTF-8, as in ``bytes.decode``: ``replace`` or ``strict``.

    Raises:
        InvalidInputError: Here, the bytes are not plain CDR (reason ``cdr``); from the methods, they end before what is
            to be read (reason ``truncated``).
        UnicodeDecodeError: From the methods, of ``strict`` text.
    """

    def __init__(self, cdr: bytes | bytearray | memoryview, message: str, bad_text: str = "replace") -> None:
        self.buffer = memoryview(cdr).cast("B")
        self.message = message
        self.bad_text = bad_text
        if len(self.buffer) < 4 or self.buffer[0] != 0 or self.buffer[1] not in (0, 1):
            raise InvalidInputError(
                f"a serialized {message} cannot be read",
                reason="cdr",
                got=f"{len(self.buffer)} bytes starting with {bytes(self.buffer[:4]).hex()}",
                expected="plain CDR (an encapsulation of 00 00 or 00 01)",
            )
        self.order = "<" if self.buffer[1] == 1 else ">"
        """Byte order for the module struct."""
        self.position = 4

    def number(self, code: str) -> int:
        """An integer of a type of the module struct."""
        size = struct.calcsize(code)
        self.position += -(self.position - 4) % size
        self.need(size)
        (value,) = struct.unpack_from(self.order + code, self.buffer, self.position)
        self.position += size
        return int(value)

    def string(self) -> str:
        """A text."""
        return str(self.octets()[:-1], "utf-8", self.bad_text)

    def header(self) -> tuple[int, int, str]:
        """Seconds, nanoseconds and ``frame_id`` of a std_msgs/msg/Header."""
        return self.number("i"), self.number("I"), self.string()

    def octets(self) -> memoryview:
        """A sequence of bytes, as a view of the message; of a text, with the zero byte at its end."""
        length = self.number("I")
        self.need(length)
        self.position += length
        return self.buffer[self.position - length : self.position]

    def need(self, size: int) -> None:
        """Raise unless so many bytes follow."""
        if self.position + size > len(self.buffer):
            raise InvalidInputError(
                f"a serialized {self.message} is truncated",
                reason="truncated",
                got=f"{len(self.buffer)} bytes",
                expected=f"at least {self.position + size}",
                do="check the transport's message size limit, or the bag for damage",
            )
