"""What makes messages belong to one stream."""

from __future__ import annotations

from madm_core.errors import InvalidInputError


class StreamIdentity:
    """Encoding and sensor size of a stream, settled by its first message."""

    def __init__(self) -> None:
        self._settled: tuple[str, int, int] | None = None

    def settle(self, encoding: str, width: int, height: int) -> None:
        """Expect this encoding and size from now on."""
        self._settled = encoding, width, height

    def require(self, encoding: str, width: int, height: int) -> None:
        """Raise InvalidInputError unless a message is of the settled stream, or the first."""
        if self._settled in (None, (encoding, width, height)):
            return
        assert self._settled is not None
        known, known_width, known_height = self._settled
        raise InvalidInputError(
            "an event message differs from its stream",
            reason="size" if encoding == known else "encoding",
            got=f"{encoding} {width}x{height}",
            expected=f"{known} {known_width}x{known_height}",
            do="use one topic for each camera; restart the node if the camera was exchanged",
        )
