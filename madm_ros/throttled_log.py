"""Warnings that are said once and then summarised, so that a 500 Hz fault does not fill the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class ThrottledLog:
    """Passes on the first message of each kind at once and later ones at most once in a period.

    Args:
        write: Writes one line, e.g. ``node.get_logger().warning``.
        period_s: Returns the shortest time between two lines of one kind, in seconds.
        now_s: A clock that never goes back; simulated time would silence warnings when it stands still.
    """

    def __init__(
        self, write: Callable[[str], object], period_s: Callable[[], float], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._period_s = period_s
        self._now_s = now_s
        self._lock = threading.Lock()
        self._last_s: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def __call__(self, kind: str, message: str) -> None:
        """Write ``message``, or count it when one of the same ``kind`` was written a short time ago."""
        now_s = self._now_s()
        with self._lock:
            last_s = self._last_s.get(kind)
            if last_s is not None and now_s - last_s < self._period_s():
                self._held_back[kind] = self._held_back.get(kind, 0) + 1
                return
            self._last_s[kind] = now_s
            held_back = self._held_back.pop(kind, 0)
        if held_back and last_s is not None:
            message += f" ({held_back} more of this kind in the last {now_s - last_s:.1f} s)"
        self._write(message)
