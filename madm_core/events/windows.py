"""What ends a window of events, and what a finished one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import ConfigError

if TYPE_CHECKING:
    from madm_core.modalities import EventModality

WindowMode = Literal["time", "count", "both", "trigger", "stamps"]


@dataclass(frozen=True)
class EventWindow:
    """How a stream of events is cut into windows.

    Args:
        mode: ``time``: every ``duration_ms``, half-open [start, end); ``count``: every ``count`` events; ``both``:
            whichever comes first; ``trigger``: a window ends at each external trigger edge; ``stamps``: at each time
            given to :meth:`EventStream.add_boundary`, such as a frame topic's stamps.
        duration_ms: Length of a window. In the modes trigger and stamps 0 reaches back to the previous boundary.
        count: Events of a window in the modes count and both.
        stride_ms: Distance of the starts of windows in mode time; None for ``duration_ms``. Smaller: they overlap.
        stride_count: Distance in events in mode count; None for ``count``.
        trigger_edge: 1 to end windows at rising, 0 at falling edges.
        max_wait_ms: A window is closed after this time without one, empty if need be, so that consumers do not starve.
            Empty windows are not closed more often than this.
        max_events: Most events held in memory; a window that exceeds them is dropped whole and counted.
        max_lag_ms: With :meth:`EventStream.add` told the time, packets older than this start the shedding of whole
            windows until the stream has caught up to a tenth of it; None never sheds.

    Raises:
        ConfigError: A value that cannot be used.
    """

    mode: WindowMode = "time"
    duration_ms: float = 50.0
    count: int = 100_000
    stride_ms: float | None = None
    stride_count: int | None = None
    trigger_edge: int = 1
    max_wait_ms: float = 1000.0
    max_events: int = 8_000_000
    max_lag_ms: float | None = None

    def __post_init__(self) -> None:
        aligned = self.mode in ("trigger", "stamps")
        for name, good, expected in (
            ("mode", self.mode in get_args(WindowMode), "one of " + ", ".join(get_args(WindowMode))),
            ("duration_ms", self.duration_ms > 0 or (aligned and self.duration_ms == 0), "milliseconds above 0"),
            ("count", self.count > 0, "a number of events above 0"),
            ("stride_ms", self.stride_ms is None or (self.stride_ms > 0 and self.mode == "time"),
             "milliseconds above 0, in mode time only"),
            ("stride_count",
             self.stride_count is None or (0 < self.stride_count <= self.count and self.mode == "count"),
             "a number of events from 1 to count, in mode count only"),
            ("trigger_edge", self.trigger_edge in (0, 1), "0 or 1"),
            ("max_wait_ms", self.max_wait_ms > 0, "milliseconds above 0"),
            ("max_events", self.max_events >= (1 if self.mode not in ("count", "both") else self.count),
             "at least 1, and at least count"),
            ("max_lag_ms", self.max_lag_ms is None or self.max_lag_ms > 0, "None or milliseconds above 0"),
        ):  # fmt: skip
            if not good:
                raise ConfigError(
                    f"{name} of an event window cannot be used", got=getattr(self, name), expected=expected
                )

    @classmethod
    def of(cls, modality: EventModality, max_lag_ms: float | None = None) -> EventWindow:
        """The window that a model wants; ``max_lag_ms`` is for live streams only."""
        return cls(
            mode=modality.window,
            duration_ms=modality.window_ms,
            count=modality.window_count,
            max_wait_ms=modality.max_wait_ms,
            max_lag_ms=max_lag_ms,
        )

    @property
    def accumulates_on_arrival(self) -> bool:
        """Whether bounds are known beforehand and windows do not overlap: then no event has to be kept."""
        return self.mode == "time" and (self.stride_ms is None or self.stride_ms >= self.duration_ms)


@dataclass(frozen=True)
class ClosedWindow:
    """A finished window.

    Attributes:
        grid: (bins, H, W) float32, read-only. Its memory is used again once nobody refers to it.
        t_start_ns: Host time of the window's start, nanoseconds.
        t_end_ns: Host time of its end.
        header: What the last packet that contributed was added with; of the last packet at all for an empty window.
        events: Number of events in the grid.
    """

    grid: NDArray[np.float32]
    t_start_ns: int
    t_end_ns: int
    header: Any
    events: int

    @property
    def height(self) -> int:
        """Grid height in pixels."""
        return int(self.grid.shape[1])

    @property
    def width(self) -> int:
        """Grid width in pixels."""
        return int(self.grid.shape[2])


@dataclass(frozen=True)
class WindowSpan:
    """A finished window in ticks, before its times and header are known.

    ``t_end`` is the first tick beyond it; with ``until_last`` the tick of its last event.
    """

    grid: NDArray[np.float32]
    t_start: int
    t_end: int
    events: int
    until_last: bool = False
