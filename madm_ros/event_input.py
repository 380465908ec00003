"""Event cameras: messages to windows of events, in the spinning thread, as they arrive.

A window is complete the moment the message that closes it arrives; the worker only gets finished grids. Each message
holds events that no other has, so none is dropped for a newer one. Only when messages have waited too long for this
process are they left out, by whole windows, until it has caught up.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from std_msgs.msg import Header

from madm_core.errors import ConfigError, InvalidInputError
from madm_core.events import ClosedWindow, EventStream, EventWindow, MessageHeader
from madm_core.messages.event_messages import parse_event_array, parse_event_packet, parse_point_cloud2
from madm_core.modalities import EventModality
from madm_ros.inputs import Frame, SensorFrame, SensorInput
from madm_ros.node_parameters import EVENT_PACKET, POINT_CLOUD

MAX_LAG_MS = 100.0
"""Messages of short windows may wait this long, in milliseconds, before windows are shed."""


@dataclass(frozen=True)
class GridFrame:
    """A closed window on its way to the worker.

    Args:
        grid: ``(bins, H, W)`` float32, read-only.
        header: Header of the last message that contributed to the window.
        events: Number of events in it.
        duration_s: Length of the window in seconds.
    """

    grid: np.ndarray
    header: Any
    events: int
    duration_s: float


class EventInput(SensorInput):
    """Events as EventPacket, EventArray or PointCloud2, cut into the model's windows.

    Args:
        modality: Says how windows are cut and how many bins a grid has.
        point_cloud_size: (height, width) of the sensor, for PointCloud2, which does not say it.
        hot_pixel_seconds: How long pixels that fire on their own are searched at first; 0 for never.

    The other arguments are those of :class:`madm_ros.inputs.SensorInput`.

    Raises:
        ConfigError: PointCloud2 events without a sensor size.
    """

    def __init__(
        self,
        *arguments: Any,
        modality: EventModality,
        point_cloud_size: tuple[int, int] = (0, 0),
        hot_pixel_seconds: float = 0.0,
        **named_arguments: Any,
    ) -> None:
        super().__init__(*arguments, **named_arguments)
        if self.type_name == POINT_CLOUD and not all(point_cloud_size):
            raise ConfigError(
                "events from PointCloud2 need the sensor's size",
                got=f"event_width {point_cloud_size[1]}, event_height {point_cloud_size[0]}",
                expected="both above 0",
                do="set the parameters event_width and event_height",
            )
        self._point_cloud_size = point_cloud_size
        self._stream = EventStream(event_window(modality), modality.bins, hot_pixel_seconds=hot_pixel_seconds)
        self._flushed_until_ns = 0
        self._last_header: Any = None
        self._waited_ns = 0
        self._windows_shed = 0

    def subscribe(self) -> None:
        """Start receiving; see :class:`SensorInput`."""
        super().subscribe()
        if self._subscription is not None:
            self._subscription.callback = self._on_message_with_info

    def forget(self) -> None:
        """Start a new epoch; the open window is given up."""
        super().forget()
        self._stream.reset()
        self._flushed_until_ns = 0

    def tick(self) -> None:
        """Close a window that has been waiting too long for events."""
        if self._last_stamp_ns is None:
            return
        # The sensor's clock, carried on by ours: stamps of a recording are years away from the node's clock.
        now_ns = self._last_stamp_ns + round((time.monotonic() - self.last_message_s) * 1e9)
        closed = self._stream.flush_waiting(now_ns)
        if closed:
            self._flushed_until_ns = now_ns
            self._hand_over(closed)

    def decode(self, frame: Frame) -> SensorFrame:
        """The frame's grid ``(bins, H, W)`` float32, ready since its window closed."""
        window: GridFrame = frame.payload
        bins, height, width = window.grid.shape
        details: dict[str, object] = {
            "height": height, "width": width, "bins": bins, "window_events": window.events,
            "window_ms": window.duration_s * 1e3,
        }  # fmt: skip
        stamp, header = window.header, Header(frame_id=window.header.frame_id)
        header.stamp.sec, header.stamp.nanosec = stamp.sec, stamp.nanosec
        return SensorFrame(header, window.grid, details)

    def details(self) -> dict[str, object]:
        """Counters of the event stream."""
        statistics = self._stream.statistics
        return {f"events_{name}": value for name, value in vars(statistics).items()}

    @property
    def packets(self) -> tuple[int, int] | None:
        """Packets decoded and packets missing by ``seq`` so far; only EventPacket has it."""
        statistics = self._stream.statistics
        return (statistics.packets, statistics.lost_packets) if self.type_name == EVENT_PACKET else None

    def _on_message_with_info(self, raw: bytes, info: Mapping[str, Any]) -> None:
        received_ns = info["received_timestamp"]
        # Stamps cannot tell that messages pile up here: those of a recording are old, or pass at another speed.
        self._waited_ns = max(0, time.time_ns() - received_ns) if received_ns else 0
        self._on_message(raw)

    def _take(self, raw: bytes) -> None:
        if self._last_stamp_ns is not None and self._last_stamp_ns < self._flushed_until_ns:
            # The sensor's time stood still while ours went on (a paused bag): its windows are not over after all.
            self._stream.reset()
        self._flushed_until_ns = 0
        try:
            if self.type_name == EVENT_PACKET:
                packet, header = parse_event_packet(raw)
                closed = self._stream.add(packet, header, packet.stamp_ns + self._waited_ns)
            elif self.type_name == POINT_CLOUD:
                events, header = parse_point_cloud2(raw)
                height, width = self._point_cloud_size
                closed = self._add_events(events, width, height, header)
            else:
                events, width, height, header = parse_event_array(raw)
                closed = self._add_events(events, width, height, header)
        except InvalidInputError as error:
            self._statistics.message_rejected(error.reason, str(error))
            self._warn(f"rejected_{error.reason}", f"message on {self.topic} left out: {error}")
            return
        except Exception as error:  # a defect must cost the message, not the count of messages or the stream after it
            self._stream.reset()
            self._statistics.message_rejected("internal", f"{type(error).__name__}: {error}")
            self._warn("internal", f"message on {self.topic} made decoding fail:\n{traceback.format_exc()}")
            return
        self._warn_of_shedding()
        self._hand_over(closed)

    def _add_events(self, events: np.ndarray, width: int, height: int, header: MessageHeader) -> list[ClosedWindow]:
        now_ns = header.stamp_ns + self._waited_ns
        return self._stream.add_events(events, width, height, header.stamp_ns, header, now_ns=now_ns)

    def _warn_of_shedding(self) -> None:
        statistics = self._stream.statistics
        if statistics.dropped_windows > self._windows_shed:
            self._windows_shed = statistics.dropped_windows
            self._warn(
                "events_shed",
                f"{self.topic} brings more events than this computer can take: left out so far to catch up: "
                f"{statistics.dropped_windows} window(s), {statistics.dropped_packets} message(s); expected messages "
                f"to wait {self._stream.window.max_lag_ms:.0f} ms at most. Give the node more processor time, or lower "
                "the camera's event rate",
            )

    def _hand_over(self, closed: list[ClosedWindow]) -> None:
        for window in closed:
            if window.events == 0 and window.header is self._last_header:
                continue  # a silent sensor: no message came since the last window, and no stamp is published twice
            self._last_header = window.header
            self._statistics.received()
            grid = GridFrame(window.grid, window.header, window.events, (window.t_end_ns - window.t_start_ns) / 1e9)
            self._offer(Frame(grid, self.epoch, time.perf_counter()))


def event_window(modality: EventModality) -> EventWindow:
    """The stream's window as the model wants it, with the lag at which the node sheds load."""
    return EventWindow.of(modality, max_lag_ms=max(MAX_LAG_MS, 2.0 * modality.window_ms))
