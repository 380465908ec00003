"""Windows whose end is only known afterwards, or that overlap: events wait in a buffer until a window closes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from madm_core.events.event_buffer import EventBuffer
from madm_core.events.representations import Renderer
from madm_core.events.stream_statistics import StreamStatistics
from madm_core.events.windows import EventWindow, WindowSpan


class BufferedWindows:
    """Cuts a stream in any mode of :class:`EventWindow`; has the interface of :class:`TimeWindows`.

    Args:
        window: Mode and limits.
        ticks: Converts milliseconds to ticks.
        renderer: Makes the picture of a window's events.
        statistics: Counts are added to it.
    """

    def __init__(
        self,
        window: EventWindow,
        ticks: Callable[[float], int],
        renderer: Renderer,
        statistics: StreamStatistics,
    ) -> None:
        self._mode = window.mode
        self._duration = ticks(window.duration_ms) if window.duration_ms else 0
        self._stride = self._duration if window.stride_ms is None else ticks(window.stride_ms)
        self._count = window.count
        self._stride_count = window.stride_count or window.count
        self._max_wait = ticks(window.max_wait_ms)
        self._renderer = renderer
        self._buffer = EventBuffer(window.max_events)
        self._statistics = statistics
        self._start: int | None = None
        self._last_close = 0
        self._now = 0
        self._boundaries: deque[int] = deque()
        self._previous_boundary: int | None = None

    @property
    def opened(self) -> int | None:
        """Latest tick that the stream has come to; None before the first event."""
        return None if self._start is None else self._now

    def add(self, words: NDArray[np.int64]) -> list[WindowSpan]:
        """Add events as (N, 2) words in stream order; returns the windows that they complete."""
        if len(words) == 0:
            return []
        late = self._buffer.late_events
        fits = self._buffer.append(words)
        self._statistics.late_events += self._buffer.late_events - late
        if not fits:
            # Too many for memory: the open window is lost as a whole, rather than silently thinned out.
            self._statistics.dropped_windows += 1
            self._statistics.dropped_events += len(self._buffer) + len(words)
            self._drop(len(self._buffer), None)
            self.resume_after(int(words[:, 0].max()))
            return []
        return self._pass(int(words[:, 0].max()))

    def add_boundary(self, tick: int) -> list[WindowSpan]:
        """End a window at ``tick`` (modes trigger and stamps); returns it if the stream has come so far."""
        if self._mode not in ("trigger", "stamps"):
            return []
        if self._start is None:
            self._open_first(tick)
        if not self._boundaries or tick > self._boundaries[-1]:
            self._boundaries.append(tick)
        return self._pass(self._now)

    def advance(self, tick: int) -> list[WindowSpan]:
        """Let the stream's time reach ``tick``; returns the windows that end by it."""
        return self._pass(tick)

    def _pass(self, tick: int) -> list[WindowSpan]:
        if self._start is None:
            self._open_first(int(self._buffer.ticks[0]) if len(self._buffer) else tick)
        self._now = max(self._now, tick)
        if self._mode == "count":
            return self._cut_by_count()
        if self._mode in ("time", "both"):
            return self._cut_by_time()
        return self._cut_at_boundaries()

    def flush(self, tick: int) -> list[WindowSpan]:
        """Close what has been due for ``max_wait`` by the host's clock."""
        if self._start is None:
            return []
        due = self._last_close + self._max_wait
        if self._mode in ("time", "both"):
            due = max(self._start + self._duration, self._last_close) + self._max_wait
        if tick < due:
            return []
        self._now = max(self._now, tick)
        if self._mode in ("time", "both"):
            closed = [self._close_at(self._start, self._start + self._duration)]
            self._move_to(tick)
        elif self._mode == "count":
            ticks = self._buffer.ticks
            held = len(ticks)
            closed = [self._render(0, held, int(ticks[0]) if held else tick, tick, until_last=False)]
            self._drop(held, tick)
        else:
            closed = [self._close_at(self._boundary_start(tick), tick)]
            self._drop(self._buffer.index(tick), tick)
            self._previous_boundary = tick
        return closed

    def finish(self) -> list[WindowSpan]:
        """Close the open window as it is."""
        if self._start is None:
            return []
        if self._mode in ("time", "both"):
            return [self._close_at(self._start, self._start + self._duration)]
        return self.flush(max(self._now, self._last_close + self._max_wait) + 1)

    def resume_after(self, tick: int) -> None:
        """Begin anew with the first window that starts after ``tick``, as when the present one was dropped."""
        if self._start is None:
            return
        if self._mode in ("time", "both"):
            self._move_to(tick)
            self._start += self._stride
        cut = self._start if self._mode == "time" else tick + 1
        self._statistics.dropped_events += self._buffer.index(cut)
        self._drop(self._buffer.index(cut), cut)
        self._previous_boundary = None if self._previous_boundary is None else cut
        self._now = max(self._now, tick)

    def _open_first(self, tick: int) -> None:
        self._start = self._last_close = self._now = tick

    def _cut_by_count(self) -> list[WindowSpan]:
        closed = []
        while len(self._buffer) >= self._count:
            ticks = self._buffer.ticks
            first, last = int(ticks[0]), int(ticks[self._count - 1])
            closed.append(self._render(0, self._count, first, last, until_last=True))
            self._drop(self._stride_count, None)
        return closed

    def _cut_by_time(self) -> list[WindowSpan]:
        assert self._start is not None
        closed = []
        while True:
            end = self._start + self._duration
            ticks = self._buffer.ticks
            if self._mode == "both" and len(ticks) >= self._count and ticks[self._count - 1] < end:
                last = int(ticks[self._count - 1])
                closed.append(self._render(0, self._count, self._start, last, until_last=True))
                self._drop(self._count, None)
                self._start = last
            elif self._now >= end:
                empty = self._buffer.index(end) == self._buffer.index(self._start)
                if not empty or end - self._last_close >= self._max_wait:
                    closed.append(self._close_at(self._start, end))
                self._start += self._stride
                self._drop(self._buffer.index(self._start), self._start)
                # One empty window stands for a long silence.
                ahead = self._now if len(self._buffer) == 0 else int(self._buffer.ticks[0])
                if empty and ahead >= self._start + self._duration:
                    self._move_to(ahead)
            else:
                return closed

    def _cut_at_boundaries(self) -> list[WindowSpan]:
        closed = []
        while self._boundaries and self._boundaries[0] <= self._now:
            end = self._boundaries.popleft()
            start = self._boundary_start(end)
            if self._buffer.index(end) > self._buffer.index(start) or end - self._last_close >= self._max_wait:
                closed.append(self._close_at(start, end))
            self._previous_boundary = end
            if self._duration == 0:
                self._drop(self._buffer.index(end), end)
        # Boundaries may come late: events wait for them as long as a consumer may wait.
        oldest = self._now - self._duration - self._max_wait
        self._drop(self._buffer.index(oldest), oldest)
        return closed

    def _boundary_start(self, end: int) -> int:
        if self._duration:
            return end - self._duration
        if self._previous_boundary is not None:
            return self._previous_boundary
        return min(end, int(self._buffer.ticks[0])) if len(self._buffer) else end

    def _move_to(self, tick: int) -> None:
        """Let the window that contains ``tick`` be the open one, keeping the windows' phase."""
        assert self._start is not None
        if tick >= self._start + self._duration:
            self._start += (tick - self._start - self._duration) // self._stride * self._stride + self._stride
        self._drop(self._buffer.index(self._start), self._start)

    def _drop(self, count: int, cut: int | None) -> None:
        self._buffer.drop(count, cut)

    def _close_at(self, start: int, end: int) -> WindowSpan:
        return self._render(self._buffer.index(start), self._buffer.index(end), start, end, until_last=False)

    def _render(self, first: int, stop: int, start: int, end: int, *, until_last: bool) -> WindowSpan:
        self._last_close = end
        outside = self._renderer.out_of_frame
        grid, events = self._renderer.render(self._buffer.words[first:stop], start, end)
        self._statistics.out_of_frame += self._renderer.out_of_frame - outside
        return WindowSpan(grid, start, end, events, until_last)
