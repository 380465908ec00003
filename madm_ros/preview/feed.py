"""The newest frame, from the worker to whoever looks: the worker never waits, pictures are made for viewers only."""

from __future__ import annotations

import threading

from madm_ros.preview.composition import Layout, PreviewFrame, jpeg_strip


class PreviewFeed:
    """Holds one frame. Encoding happens in the threads of viewers, once for all that want the same layout."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: PreviewFrame | None = None
        self._number = 0
        self._closed = False
        self._encoding = threading.Lock()
        self._encoded: dict[Layout, tuple[int, bytes]] = {}

    @property
    def frame(self) -> PreviewFrame | None:
        """The newest frame; None before the first and after :meth:`clear`."""
        return self._frame

    def show(self, frame: PreviewFrame | None) -> None:
        """Take a new frame, by reference and at once; its arrays must not change any more."""
        with self._changed:
            self._frame = frame
            self._number += 1
            self._changed.notify_all()

    def clear(self) -> None:
        """Show nothing any more: the model that made the frame is gone."""
        self.show(None)

    def close(self) -> None:
        """Let everybody who waits go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def jpeg(self, layout: Layout, after: int = -1, timeout_s: float = 5.0) -> tuple[int, bytes] | None:
        """The newest picture, waiting for a newer one than ``after`` but not longer than ``timeout_s``.

        Returns:
            Its number, and a JPEG as :func:`jpeg_strip` makes it; the same again when there was nothing new in time,
            None when the feed is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number > after, timeout_s)
            if self._closed:
                return None
            number, frame = self._number, self._frame
        with self._encoding:
            encoded = self._encoded.get(layout)
            if encoded is None or encoded[0] < number:
                encoded = self._encoded[layout] = number, jpeg_strip(frame, layout)
            return encoded
