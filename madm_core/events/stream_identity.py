"""What makes messages belong to one stream."""

from __future__ import annotations

from madm_core.errors import InvalidInputError

MAX_PIXELS = 1 << 22
"""Largest sensor believed, 4 million pixels: a message with damaged sizes must not claim all memory for its grid."""

CHANGE_AFTER = 10
"""Messages in a row that agree on another encoding or size mean that the camera changed, not that one was damaged."""


class StreamIdentity:
    """Encoding and sensor size of a stream, settled by its first message."""

    def __init__(self) -> None:
        self._settled: tuple[str, int, int] | None = None
        self._other: tuple[str, int, int] | None = None
        self._others = 0

    @property
    def settled(self) -> tuple[str, int, int]:
        """Encoding, width and height of the stream."""
        assert self._settled is not None
        return self._settled

    def settle(self, encoding: str, width: int, height: int) -> None:
        """Expect this encoding and size from now on."""
        self._settled = encoding, width, height

    def changes(self, encoding: str, width: int, height: int) -> bool:
        """Whether a message makes the stream another one: the last of CHANGE_AFTER in a row that agree on it.

        Raises:
            InvalidInputError: The message is of another stream than the settled one so far, or of no possible sensor.
        """
        if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
            raise InvalidInputError(
                "the sensor size of an event message is impossible",
                reason="size",
                got=f"{width}x{height}",
                expected=f"1 to {MAX_PIXELS} pixels",
                do="check the camera driver's geometry",
            )
        if self._settled in (None, (encoding, width, height)):
            self._others = 0
            return False
        self._others = self._others + 1 if self._other == (encoding, width, height) else 1
        self._other = encoding, width, height
        if self._others >= CHANGE_AFTER:
            return True
        known, known_width, known_height = self.settled
        raise InvalidInputError(
            "an event message differs from its stream",
            reason="size" if encoding == known else "encoding",
            got=f"{encoding} {width}x{height}",
            expected=f"{known} {known_width}x{known_height}",
            do=f"use one topic for each camera; after {CHANGE_AFTER} such messages in a row the stream changes over",
        )
