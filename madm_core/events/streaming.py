"""A live event stream: packets in, finished windows out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import InvalidInputError
from madm_core.events.clock import SensorClock
from madm_core.events.decoders import ALIASES, EventDecoder
from madm_core.events.event_array import as_words
from madm_core.events.grid_accumulator import GridAccumulator
from madm_core.events.packet import EventPacketFields
from madm_core.events.pixel_map import PixelMap
from madm_core.events.time_windows import TimeWindows
from madm_core.events.warming import warm_up
from madm_core.events.windows import ClosedWindow, EventWindow, WindowSpan

STAMP_JUMP_NS = 100_000_000
"""A stamp further back than this is a bag that started over; a smaller step back is a packet out of order."""


@dataclass
class StreamStatistics:
    """Counts since the stream was made; :meth:`EventStream.reset` does not clear them.

    ``lost_packets`` come from gaps in ``seq``; ``late_events`` belong to a window that was closed already;
    ``dropped_windows`` were shed whole, with ``dropped_events`` in them.
    """

    events: int = 0
    packets: int = 0
    windows: int = 0
    lost_packets: int = 0
    out_of_order_packets: int = 0
    out_of_frame: int = 0
    late_events: int = 0
    truncated_bytes: int = 0
    invalid_words: int = 0
    triggers: int = 0
    dropped_windows: int = 0
    dropped_events: int = 0
    resets: int = 0
    drift_ppm: float = 0.0


class EventStream:
    """Turns the packets of one event camera into windows.

    Args:
        window: What ends a window.
        bins: Time bins of the voxel grid.
        pixel_map: Hot pixels, region of interest and rectification; None for none.
    """

    def __init__(self, window: EventWindow, bins: int, *, pixel_map: PixelMap | None = None) -> None:
        self.window = window
        self.bins = bins
        self.pixel_map = pixel_map
        self.statistics = StreamStatistics()
        self._forget()

    @staticmethod
    def warm_up() -> float:
        """See :func:`madm_core.events.warming.warm_up`; call it before the first :meth:`add` of a live stream."""
        return warm_up()

    def _forget(self) -> None:
        self._size: tuple[int, int] | None = None
        self._encoding: str | None = None
        self._decoder: EventDecoder | None = None
        self._clock: SensorClock | None = None
        self._windows: TimeWindows | None = None
        self._last_seq: int | None = None
        self._last_stamp: int | None = None
        self._headers: deque[tuple[int, Any]] = deque()
        self._last_header: Any = None

    def reset(self) -> None:
        """Forget windows, clock and decoder, as when time starts over; statistics stay."""
        self._forget()
        self.statistics.resets += 1

    def add(self, packet: EventPacketFields, header: object) -> list[ClosedWindow]:
        """Decode and accumulate one packet.

        Args:
            packet: Its fields.
            header: Handed back with the windows, untouched.

        Returns:
            The windows that this packet completes, oldest first.

        Raises:
            InvalidInputError: Unknown encoding, or a size or encoding other than the stream's; the stream goes on.
        """
        encoding = ALIASES.get(packet.encoding, packet.encoding)
        self._check_stream(encoding, packet.width, packet.height)
        if not self._in_order(packet):
            return []
        if self._decoder is None:
            self._decoder = EventDecoder(encoding, packet.width, packet.height)
            self._start(encoding, packet.width, packet.height, self._decoder.tick_ns)
        decoder = self._decoder
        events = decoder.decode(packet.data, packet.time_base, big_endian=packet.is_bigendian)
        decoder.drop_partial_word()
        self._count(decoder, len(events))
        self._last_header = header
        if len(events) == 0:
            return []
        return self._accumulate(as_words(events), packet.stamp_ns, header)

    def add_events(
        self, events: NDArray[np.void], width: int, height: int, stamp_ns: int, header: object
    ) -> list[ClosedWindow]:
        """Accumulate decoded events, as from an EventArray or a PointCloud2.

        Args:
            events: EVENT_DTYPE with ``t`` in nanoseconds of the host's clock.
            width: Sensor width in pixels.
            height: Sensor height in pixels.
            stamp_ns: The message's stamp.
            header: Handed back with the windows, untouched.
        """
        self._check_stream("decoded", width, height)
        if self._last_stamp is not None and stamp_ns < self._last_stamp - STAMP_JUMP_NS:
            self.reset()
        self._last_stamp = stamp_ns
        if self._windows is None:
            self._start("decoded", width, height, 1)
        self.statistics.packets += 1
        self.statistics.events += len(events)
        self._last_header = header
        if len(events) == 0:
            return []
        words = as_words(np.ascontiguousarray(events))
        return self._accumulate(words, int(words[0, 0]), header)

    def flush_waiting(self, now_ns: int) -> list[ClosedWindow]:
        """Close a window that has been due for ``max_wait_ms`` by the host's clock, with the events it has or none.

        Args:
            now_ns: Time of the clock that stamps the packets.
        """
        if self._clock is None or self._windows is None or not self._clock.started:
            return []
        return self._finish(self._windows.flush(self._clock.tick(now_ns)))

    def _check_stream(self, encoding: str, width: int, height: int) -> None:
        if self._size is not None and ((width, height) != self._size or encoding != self._encoding):
            raise InvalidInputError(
                "an event message differs from its stream",
                reason="size" if encoding == self._encoding else "encoding",
                got=f"{encoding} {width}x{height}",
                expected=f"{self._encoding} {self._size[0]}x{self._size[1]}",
                do="use one topic for each camera; restart the node if the camera was exchanged",
            )

    def _start(self, encoding: str, width: int, height: int, tick_ns: int) -> None:
        window = self.window
        self._encoding, self._size = encoding, (width, height)
        self._clock = SensorClock(tick_ns)

        def ticks(milliseconds: float) -> int:
            return max(1, round(milliseconds * 1_000_000 / tick_ns))

        accumulator = GridAccumulator(self.bins, height, width, self.pixel_map, buffers=3)
        stride = window.duration_ms if window.stride_ms is None else window.stride_ms
        self._windows = TimeWindows(accumulator, ticks(window.duration_ms), ticks(stride), ticks(window.max_wait_ms))

    def _in_order(self, packet: EventPacketFields) -> bool:
        """Follow ``seq`` and the stamp; False for a packet that is older than what was decoded already."""
        statistics = self.statistics
        if self._last_stamp is not None:
            back = self._last_stamp - packet.stamp_ns
            if back > STAMP_JUMP_NS:
                self.reset()
            elif packet.seq is not None and self._last_seq is not None and packet.seq <= self._last_seq and back < 0:
                self.reset()  # newer, but numbered from the start: the driver was restarted
            elif back > 0 or (packet.seq is not None and packet.seq == self._last_seq):
                statistics.out_of_order_packets += 1
                return False
        if packet.seq is not None:
            if self._last_seq is not None and packet.seq > self._last_seq + 1:
                statistics.lost_packets += packet.seq - self._last_seq - 1
                if self._decoder is not None:
                    self._decoder.mark_gap()
            self._last_seq = packet.seq
        self._last_stamp = packet.stamp_ns
        return True

    def _count(self, decoder: EventDecoder, events: int) -> None:
        self.statistics.packets += 1
        self.statistics.events += events
        self.statistics.triggers += len(decoder.triggers)
        self.statistics.truncated_bytes = decoder.truncated_bytes
        self.statistics.invalid_words = decoder.invalid_words
        self.statistics.out_of_frame = decoder.out_of_frame

    def _accumulate(self, words: NDArray[np.int64], stamp_ns: int, header: object) -> list[ClosedWindow]:
        assert self._clock is not None and self._windows is not None
        first = int(words[0, 0])
        self._clock.observe(stamp_ns, first)
        self._headers.append((first, header))
        closed = self._finish(self._windows.add(words))
        self.statistics.late_events = self._windows.late_events
        self.statistics.drift_ppm = self._clock.drift_ppm
        return closed

    def _finish(self, spans: list[WindowSpan]) -> list[ClosedWindow]:
        assert self._clock is not None
        closed = []
        for span in spans:
            while len(self._headers) > 1 and self._headers[1][0] < span.t_end:
                self._headers.popleft()
            contributed = span.events > 0 and self._headers and self._headers[0][0] < span.t_end
            closed.append(
                ClosedWindow(
                    grid=span.grid,
                    t_start_ns=self._clock.host_ns(span.t_start),
                    t_end_ns=self._clock.host_ns(span.t_end),
                    header=self._headers[0][1] if contributed else self._last_header,
                    events=span.events,
                    width=span.grid.shape[2],
                    height=span.grid.shape[1],
                )
            )
        self.statistics.windows += len(closed)
        return closed
