"""Catching up by whole windows when packets come faster than they can be handled."""

from __future__ import annotations

from typing import Literal

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
        self._windows = 0

    def judge(self, stamp_ns: int, now_ns: int) -> tuple[Literal["on time", "first", "late", "over"], int]:
        """Tell whether to leave out the packet stamped ``stamp_ns``, and how many more windows that costs.

        Returns:
            ``first`` and ``late`` are to be left out. ``over``: the first to be used again, from the next window on.
            Windows are counted while they pass: a stream that never catches up says so too.
        """
        if self._limit_ms is None:
            return "on time", 0
        lag_ms = (now_ns - stamp_ns) / 1e6
        if self._since is None:
            if lag_ms <= self._limit_ms:
                return "on time", 0
            self._since, self._windows = stamp_ns, 1
            return "first", 1
        windows = int((stamp_ns - self._since) / 1e6 // self._window_ms) + 1
        more = max(0, windows - self._windows)
        self._windows += more
        if lag_ms > self._limit_ms * _CAUGHT_UP:
            return "late", more
        self._since = None
        return "over", more
