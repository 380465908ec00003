"""A live event stream: packets in, finished windows out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.buffered_windows import BufferedWindows
from madm_core.events.clock import SensorClock
from madm_core.events.decoders import ALIASES, EventDecoder
from madm_core.events.event_array import TRIGGER_DTYPE, as_events, as_words, read_only
from madm_core.events.hot_pixels import HotPixelSearch
from madm_core.events.load_shedding import LoadShedder
from madm_core.events.packet import EventPacketFields
from madm_core.events.packet_headers import PacketHeaders
from madm_core.events.packet_order import PacketOrder
from madm_core.events.pixel_map import PixelMap
from madm_core.events.representations import RepresentationName
from madm_core.events.stream_identity import StreamIdentity
from madm_core.events.stream_statistics import StreamStatistics
from madm_core.events.time_windows import TimeWindows
from madm_core.events.warming import warm_up
from madm_core.events.window_cutting import make_windows
from madm_core.events.windows import ClosedWindow, EventWindow, WindowSpan

CLOCK_JUMP_NS = 1_000_000_000
"""Sensor and host disagreeing by more than this about the time between two packets means that a clock was reset."""


class EventStream:
    """Turns the packets of one event camera into windows. Not thread-safe.

    Args:
        window: What ends a window.
        bins: Time bins of the voxel grid; other representations have two channels.
        representation: ``voxel_grid``, ``polarity_histogram`` or ``time_surface``.
        pixel_map: Hot pixels, region of interest and rectification; None for none. A sensor of another size is refused.
        hot_pixel_seconds: Search hot pixels during the first seconds and mask them from then on; 0 for never. A sensor
            of another size is searched anew.
    """

    def __init__(
        self,
        window: EventWindow,
        bins: int,
        *,
        representation: RepresentationName = "voxel_grid",
        pixel_map: PixelMap | None = None,
        hot_pixel_seconds: float = 0.0,
    ) -> None:
        self.window = window
        self.bins = bins
        self.representation = representation
        self.pixel_map = pixel_map
        self.statistics = StreamStatistics()
        self.triggers: NDArray[np.void] = np.empty(0, TRIGGER_DTYPE)
        """TRIGGER_DTYPE (M,): trigger edges of the last packet, ``t`` in nanoseconds of the host's clock."""
        self._hot_pixel_seconds = hot_pixel_seconds
        self._makes_map = hot_pixel_seconds > 0 and pixel_map is None
        self._forget()

    def _forget(self) -> None:
        self._identity = StreamIdentity()
        self._decoder: EventDecoder | None = None
        self._clock: SensorClock | None = None
        self._windows: TimeWindows | BufferedWindows | None = None
        self._search: HotPixelSearch | None = None
        self._order = PacketOrder()
        self._headers = PacketHeaders()
        self._shedder = LoadShedder(self.window)

    warm_up = staticmethod(warm_up)

    def reset(self) -> None:
        """Forget windows, clock and decoder, as when time starts over; statistics and hot pixels stay."""
        self._forget()
        self.statistics.resets += 1

    def add(self, packet: EventPacketFields, header: object, now_ns: int | None = None) -> list[ClosedWindow]:
        """Decode and accumulate one packet.

        Args:
            packet: Its fields.
            header: Handed back with the windows, untouched.
            now_ns: Time of the clock that stamps the packets, for shedding load (``EventWindow.max_lag_ms``).

        Returns:
            The windows that this packet completes, oldest first.

        Raises:
            InvalidInputError: Unknown encoding, impossible size or time, or not the stream's size and encoding; the
                stream goes on, and changes over when several messages in a row agree.
        """
        encoding = ALIASES.get(packet.encoding, packet.encoding)
        left_out = self._left_out(encoding, packet.width, packet.height, packet.seq, packet.stamp_ns, now_ns)
        if left_out is not None:
            return left_out
        decoder = self._decoder or EventDecoder(encoding, packet.width, packet.height)
        if self._decoder is None:
            self._start(encoding, packet.width, packet.height, decoder.tick_ns)
            self._decoder = decoder
        outside, invalid = decoder.out_of_frame, decoder.invalid_words
        words = decoder.decode_words(packet.data, packet.time_base, big_endian=packet.is_bigendian)
        self.statistics.out_of_frame += decoder.out_of_frame - outside
        self.statistics.invalid_words += decoder.invalid_words - invalid
        self.statistics.truncated_bytes += decoder.drop_partial_word()
        self._headers.newest = header
        assert self._windows is not None and self._clock is not None
        if len(words):
            words = self._correct_clock(words, packet.stamp_ns)
            closed = self._accumulate(words, packet.stamp_ns, header)
        else:
            closed, tick = [], decoder.current_tick
            if tick is not None and self._clock.started:
                closed = self._finish(self._windows.advance(tick))
        closed += self._handle_triggers(decoder)
        self._count(len(words))
        return closed

    def add_events(
        self,
        events: NDArray[np.void],
        width: int,
        height: int,
        stamp_ns: int,
        header: object,
        *,
        tick_ns: int = 1,
        now_ns: int | None = None,
    ) -> list[ClosedWindow]:
        """Accumulate decoded events, as from an EventArray or a PointCloud2.

        Args:
            events: EVENT_DTYPE with ``t`` on the host's clock, in units of ``tick_ns``.
            width: Sensor width in pixels.
            height: Sensor height in pixels.
            stamp_ns: The message's stamp.
            header: As of :meth:`add`.
            tick_ns: Nanoseconds of a unit of ``t``; the same for all of a stream.
            now_ns: As of :meth:`add`.

        Returns:
            As :meth:`add`; so the errors.
        """
        left_out = self._left_out("decoded", width, height, None, stamp_ns, now_ns)
        if left_out is not None:
            return left_out
        if self._windows is None:
            self._start("decoded", width, height, tick_ns)
        assert self._windows is not None
        self._headers.newest = header
        events = as_events(events)
        if np.any(events["t"][1:] < events["t"][:-1]):
            events = events[np.argsort(events["t"], kind="stable")]
        words = read_only(as_words(events))
        closed = self._accumulate(words, int(words[0, 0]) * tick_ns, header) if len(words) else []
        self._count(len(words))
        return closed

    def add_boundary(self, stamp_ns: int) -> list[ClosedWindow]:
        """End a window at a host time, such as the stamp of a frame (mode ``stamps``)."""
        if self._clock is None or self._windows is None or not self._clock.started:
            return []
        return self._finish(self._windows.add_boundary(self._clock.tick(stamp_ns)))

    def finish(self) -> list[ClosedWindow]:
        """Close the open window at the end of a recording; leaves out one without events."""
        if self._clock is None or self._windows is None:
            return []
        return self._finish([span for span in self._windows.finish() if span.events])

    def flush_waiting(self, now_ns: int) -> list[ClosedWindow]:
        """Close a window due for ``max_wait_ms`` by ``now_ns``, the time of the clock that stamps the packets."""
        if self._clock is None or self._windows is None or not self._clock.started:
            return []
        return self._finish(self._windows.flush(self._clock.tick(now_ns)))

    def _start(self, encoding: str, width: int, height: int, tick_ns: int) -> None:
        def ticks(milliseconds: float) -> int:
            return max(1, round(milliseconds * 1_000_000 / tick_ns))

        if self._makes_map and (self.pixel_map is None or self.pixel_map.sensor_shape != (height, width)):
            self.pixel_map = PixelMap.build(height, width)
            self.statistics.hot_pixels = 0  # those of another sensor
        if self._hot_pixel_seconds and not self.statistics.hot_pixels:
            self._search = HotPixelSearch(height, width, ticks(self._hot_pixel_seconds * 1e3))
        self._windows = make_windows(
            self.window, ticks, self.representation, self.bins, height, width, self.pixel_map, self.statistics
        )
        self._clock = SensorClock(tick_ns)
        self._identity.settle(encoding, width, height)  # last: a message that cannot start a stream must not settle it

    def _left_out(
        self, encoding: str, width: int, height: int, seq: int | None, stamp_ns: int, now_ns: int | None
    ) -> list[ClosedWindow] | None:
        """None for a message that is to be used; else what leaving it out closes."""
        if self._identity.changes(encoding, width, height):
            self.reset()
        verdict, lost = self._order.judge(seq, stamp_ns)
        if verdict == "old":
            self.statistics.out_of_order_packets += 1
            return []
        if verdict == "restart":
            self.reset()
            self._order.judge(seq, stamp_ns)
        if lost:
            self.statistics.lost_packets += lost
            self._mark_gap()
        return self._shed(stamp_ns, now_ns)

    def _shed(self, stamp_ns: int, now_ns: int | None) -> list[ClosedWindow] | None:
        """Of a packet that lags too much, the windows that were complete before the first left out; else None."""
        if self._windows is None or self._clock is None or not self._clock.started or now_ns is None:
            return None
        verdict, windows = self._shedder.judge(stamp_ns, now_ns)
        self.statistics.dropped_windows += windows
        if verdict == "over":
            self._windows.resume_after(self._clock.tick(stamp_ns))
        if verdict in ("on time", "over"):
            return None
        self.statistics.dropped_packets += 1
        self._mark_gap()
        return [] if verdict == "late" else self._finish(self._windows.advance(self._clock.tick(stamp_ns)))

    def _mark_gap(self) -> None:
        if self._decoder is not None:
            self._decoder.mark_gap()

    def _correct_clock(self, words: NDArray[np.int64], stamp_ns: int) -> NDArray[np.int64]:
        """Add wraps of the sensor's clock that passed during a gap; start anew if it was reset."""
        assert self._clock is not None and self._decoder is not None
        decoder = self._decoder
        wraps = self._clock.missed_wraps(stamp_ns, int(words[0, 0]), decoder.wrap_ticks)
        if wraps:
            decoder.add_wraps(wraps)
            words = words + np.array([wraps * decoder.wrap_ticks, 0])
        if self._clock.started and abs(self._clock.host_ns(int(words[0, 0])) - stamp_ns) > CLOCK_JUMP_NS:
            self._start_again()
        return words

    def _start_again(self) -> None:
        """Give up the open window and the clock; the decoder and the stream's identity stay."""
        assert self._clock is not None
        self.statistics.resets += 1
        self._start(*self._identity.settled, self._clock.tick_ns)
        self._headers.clear()

    def _accumulate(self, words: NDArray[np.int64], stamp_ns: int, header: object) -> list[ClosedWindow]:
        assert self._clock is not None and self._windows is not None
        first = int(words[0, 0])
        opened = self._windows.opened
        if opened is not None and (opened - first) * self._clock.tick_ns > CLOCK_JUMP_NS:
            # An event with a damaged time took the windows into the future, where no other event would reach them.
            self._start_again()
        self._clock.observe(stamp_ns, first)
        self._headers.add(first, header)
        if self._search is not None:
            self._apply_hot_pixels(self._search.add(words))
        if self.pixel_map is not None and isinstance(self._windows, BufferedWindows):
            words = self.pixel_map.apply(words)
        return self._finish(self._windows.add(words))

    def _apply_hot_pixels(self, hot: NDArray[np.bool_] | None) -> None:
        if hot is None or self.pixel_map is None:
            return
        self._search = None
        self.statistics.hot_pixels = int(hot.sum())
        self.pixel_map = self.pixel_map.without(hot)
        if isinstance(self._windows, TimeWindows):
            self._windows.accumulator.lookup = self.pixel_map.lookup

    def _handle_triggers(self, decoder: EventDecoder) -> list[ClosedWindow]:
        assert self._windows is not None and self._clock is not None
        self.triggers = decoder.triggers
        if len(decoder.triggers) == 0 or not self._clock.started:
            return []
        spans: list[WindowSpan] = []
        if self.window.mode == "trigger":
            edges = decoder.triggers["t"][decoder.triggers["p"] == self.window.trigger_edge]
            for tick in edges.tolist():
                spans += self._windows.add_boundary(tick)
        self.triggers = decoder.triggers.copy()
        self.triggers["t"] = [self._clock.host_ns(int(tick)) for tick in decoder.triggers["t"]]
        return self._finish(spans)

    def _count(self, events: int) -> None:
        statistics = self.statistics
        statistics.packets += 1
        statistics.events += events
        statistics.triggers += len(self.triggers)
        if self._clock is not None:
            statistics.drift_ppm = self._clock.drift_ppm

    def _finish(self, spans: list[WindowSpan]) -> list[ClosedWindow]:
        assert self._clock is not None
        self.statistics.windows += len(spans)
        self.statistics.empty_windows += sum(span.events == 0 for span in spans)
        host_ns = self._clock.host_ns
        return [
            ClosedWindow(span.grid, host_ns(span.t_start), host_ns(span.t_end), self._headers.of(span), span.events)
            for span in spans
        ]
