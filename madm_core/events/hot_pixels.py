"""Pixels that fire on their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.event_array import read_only
from madm_core.events.representations import count_by_polarity


def find_hot_pixels(counts: NDArray[np.number], *, times_median: float = 20.0, minimum: int = 50) -> NDArray[np.bool_]:
    """Return (H, W) bool, True for pixels that fire far more than the others.

    Args:
        counts: (H, W) events of each pixel during a few seconds.
        times_median: A hot pixel has more than this many times the median of the active pixels' counts...
        minimum: ...and more than this many events.
    """
    active = counts[counts > 0]
    if active.size == 0:
        return np.zeros(counts.shape, bool)
    return np.asarray(counts > max(float(minimum), times_median * float(np.median(active))))


class HotPixelSearch:
    """Counts the events of a stream's first seconds.

    Args:
        height: Sensor height in pixels.
        width: Sensor width in pixels.
        duration: Ticks to count for.
    """

    def __init__(self, height: int, width: int, duration: int) -> None:
        self._counts = np.zeros((2, height, width), np.float32)
        self._duration = duration
        self._first: int | None = None

    def add(self, words: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Count events (N, 2); returns the hot pixels (H, W) once the duration has passed, before that None."""
        if self._first is None:
            self._first = int(words[0, 0])
        count_by_polarity(read_only(words), self._counts)
        if int(words[-1, 0]) - self._first < self._duration:
            return None
        return find_hot_pixels(self._counts.sum(axis=0))
