"""Windows of fixed times that do not overlap: every event is added to its grid as it arrives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.grid_accumulator import GridAccumulator
from madm_core.events.stream_statistics import StreamStatistics
from madm_core.events.windows import WindowSpan


class TimeWindows:
    """Cuts a stream at fixed ticks; holds one window's grid and no events.

    Windows start at the first event's tick plus multiples of ``stride``. A window without events is closed only when
    ``max_wait`` ticks have passed since the last one was.

    Args:
        accumulator: Adds the events.
        duration: Ticks of a window.
        stride: Ticks from one window's start to the next's, at least ``duration``; between them events are skipped.
        max_wait: Ticks.
        statistics: Counts are added to it.
    """

    def __init__(
        self,
        accumulator: GridAccumulator,
        duration: int,
        stride: int,
        max_wait: int,
        statistics: StreamStatistics,
    ) -> None:
        self.accumulator = accumulator
        self._duration = duration
        self._stride = stride
        self._max_wait = max_wait
        self._statistics = statistics
        self._origin: int | None = None
        self._start = 0
        self._last_close = 0

    @property
    def opened(self) -> int | None:
        """First tick of the open window; None before the first event."""
        return None if self._origin is None else self._start

    def add(self, words: NDArray[np.int64]) -> list[WindowSpan]:
        """Add events as (N, 2) words in stream order; returns the windows that they complete."""
        closed: list[WindowSpan] = []
        position = 0
        if len(words) and self._origin is None:
            self._open_first(int(words[0, 0]))
        while position < len(words):
            position = self.accumulator.add(words, position, self._start + self._duration)
            if position < len(words):
                tick = int(words[position, 0])
                closed += self._pass(tick)
                if tick < self._start:
                    position = self._skip(words, position)
        return closed

    def advance(self, tick: int) -> list[WindowSpan]:
        """Let the stream's time reach ``tick`` without events; returns the windows that end by it."""
        if self._origin is None:
            self._open_first(tick)
        return self._pass(tick)

    def flush(self, tick: int) -> list[WindowSpan]:
        """Close the open window if the host's clock says that it has been due for ``max_wait``."""
        if self._origin is None or tick < max(self._start + self._duration, self._last_close) + self._max_wait:
            return []
        closed = self._close(force=True)
        self._move_to(tick)
        return closed

    def finish(self) -> list[WindowSpan]:
        """Close the open window as it is."""
        return [] if self._origin is None else self._close(force=True)

    def add_boundary(self, tick: int) -> list[WindowSpan]:
        """Do nothing: in mode time windows end by themselves."""
        return []

    def resume_after(self, tick: int) -> None:
        """Drop the open window and begin with the first that starts after ``tick``."""
        if self._origin is not None:
            self._statistics.dropped_events += self.accumulator.events
            self._move_to(tick)
            if self._start <= tick:
                self._begin(self._start + self._stride)

    def _open_first(self, tick: int) -> None:
        self._origin = self._last_close = tick
        self._begin(tick)

    def _begin(self, start: int) -> None:
        self._start = start
        self.accumulator.begin(start, start + self._duration)

    def _pass(self, tick: int) -> list[WindowSpan]:
        if tick < self._start + self._duration:
            return []
        closed = self._close(force=False)
        self._move_to(tick)
        if self._start - self._last_close >= self._max_wait:
            # One empty window stands for the whole silence: a burst of stale ones would serve nobody.
            start = self._start
            self._begin(start - self._stride)
            closed += self._close(force=True)
            self._begin(start)
        return closed

    def _move_to(self, tick: int) -> None:
        """Open the window that contains ``tick``, or the next one when ``tick`` lies between two."""
        assert self._origin is not None
        index = (tick - self._origin) // self._stride
        if tick >= self._origin + index * self._stride + self._duration:
            index += 1
        self._begin(self._origin + index * self._stride)

    def _close(self, *, force: bool) -> list[WindowSpan]:
        accumulator = self.accumulator
        self._statistics.out_of_frame += accumulator.out_of_frame
        self._statistics.late_events += accumulator.out_of_time
        if accumulator.events == 0 and not force:
            return []  # without a grid: clearing one of a large sensor takes longer than all its few events
        self._last_close = self._start + self._duration
        return [WindowSpan(accumulator.finish(), self._start, self._last_close, accumulator.events)]

    def _skip(self, words: NDArray[np.int64], position: int) -> int:
        later = np.flatnonzero(words[position:, 0] >= self._start)
        skipped = int(later[0]) if len(later) else len(words) - position
        self._statistics.skipped_events += skipped
        return position + skipped
