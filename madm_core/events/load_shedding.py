"""Catching up by whole windows when packets come faster than they can be handled."""

from __future__ import annotations

from madm_core.events.windows import EventWindow

_CAUGHT_UP = 0.1


class LoadShedder:
    """Decides which packets to leave out.

    Packets are left out from when the lag exceeds ``max_lag_ms`` until it is below a tenth of that: whole windows are
    lost now and then, instead of a part of every window or an ever growing delay. Were the two lags closer, the next
    pause would often begin before a whole window has been taken in, and none would ever be complete.

    Args:
        window: Gives the limit and the length of a window.
    """

    def __init__(self, window: EventWindow) -> None:
        self._limit_ms = window.max_lag_ms
        self._window_ms = window.duration_ms or 1.0
        self._since: int | None = None

    def judge(self, stamp_ns: int, now_ns: int) -> tuple[bool, int]:
        """Tell whether to leave out the packet stamped ``stamp_ns``, and how many windows a lag that is over cost."""
        if self._limit_ms is None:
            return False, 0
        lag_ms = (now_ns - stamp_ns) / 1e6
        if self._since is None:
            if lag_ms <= self._limit_ms:
                return False, 0
            self._since = stamp_ns
            return True, 0
        if lag_ms > self._limit_ms * _CAUGHT_UP:
            return True, 0
        lost = int((stamp_ns - self._since) / 1e6 // self._window_ms) + 1
        self._since = None
        return False, lost

    def begins_at(self, stamp_ns: int) -> bool:
        """Whether the packet stamped ``stamp_ns`` was the first of those being left out."""
        return self._since == stamp_ns
