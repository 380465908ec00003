"""Events kept until their window's end is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class EventBuffer:
    """A queue of events in order of time, as (N, 2) int64 words, of bounded size.

    Args:
        max_events: Most events that :meth:`append` accepts.
    """

    def __init__(self, max_events: int) -> None:
        self.max_events = max_events
        self.late_events = 0
        self._words = np.empty((min(max_events, 65536), 2), np.int64)
        self._start = 0
        self._stop = 0
        self._cut: int | None = None

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def words(self) -> NDArray[np.int64]:
        """(N, 2) int64 view of the events held, oldest first; valid until the next :meth:`append`."""
        return self._words[self._start : self._stop]

    @property
    def ticks(self) -> NDArray[np.int64]:
        """(N,) int64 view of their times."""
        return self._words[self._start : self._stop, 0]

    def append(self, words: NDArray[np.int64]) -> bool:
        """Add events, sorting in those that are out of order and dropping those before the last cut.

        Returns:
            False, with nothing added, if there are too many of them.
        """
        ticks = words[:, 0]
        if np.any(ticks[1:] < ticks[:-1]):
            words = words[np.argsort(ticks, kind="stable")]
        if self._cut is not None and len(words) and words[0, 0] < self._cut:
            late = int(np.searchsorted(words[:, 0], self._cut))
            self.late_events += late
            words = words[late:]
        if len(words) == 0:
            return True
        if len(self) + len(words) > self.max_events:
            return False
        self._make_room(len(words))
        overlaps = len(self) > 0 and words[0, 0] < self._words[self._stop - 1, 0]
        self._words[self._stop : self._stop + len(words)] = words
        self._stop += len(words)
        if overlaps:
            first = self._start + int(np.searchsorted(self.ticks[: -len(words)], words[0, 0], side="right"))
            tail = self._words[first : self._stop]
            tail[:] = tail[np.argsort(tail[:, 0], kind="stable")]
        return True

    def index(self, tick: int) -> int:
        """Number of events held that are before ``tick``."""
        return int(np.searchsorted(self.ticks, tick))

    def drop(self, count: int, cut: int | None = None) -> None:
        """Forget the oldest ``count`` events; from now on events before tick ``cut`` are too late."""
        self._start += count
        if cut is not None:
            self._cut = cut
        if self._start == self._stop:
            self._start = self._stop = 0

    def _make_room(self, count: int) -> None:
        if self._stop + count <= len(self._words):
            return
        held = len(self)
        if held + count <= len(self._words):
            self._words[:held] = self.words.copy()
        else:
            larger = np.empty((min(self.max_events, 2 * (held + count)), 2), np.int64)
            larger[:held] = self.words
            self._words = larger
        self._start, self._stop = 0, held
