"""What a stream counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StreamStatistics:
    """Counts since a stream was made; resetting the stream does not clear them.

    Attributes:
        events: Events decoded.
        packets: Packets decoded.
        windows: Windows closed.
        empty_windows: Of these, windows without an event.
        lost_packets: Missing from the sequence of ``seq``.
        out_of_order_packets: Dropped, as they came after a newer one or twice.
        out_of_frame: Events outside the sensor.
        late_events: Events of a window that was closed before they came.
        skipped_events: Events between windows that are further apart than they are long.
        truncated_bytes: Bytes of words that a packet's end cut off.
        invalid_words: Words of a type that the encoding does not have.
        triggers: External trigger edges.
        dropped_windows: Windows shed whole, for want of memory or time.
        dropped_events: Events in them, as far as they were decoded.
        dropped_packets: Packets that were not decoded while shedding.
        resets: Times that the stream began anew because time jumped.
        hot_pixels: Pixels found to fire on their own and masked.
        drift_ppm: How much faster the host's clock runs than the sensor's.
    """

    events: int = 0
    packets: int = 0
    windows: int = 0
    empty_windows: int = 0
    lost_packets: int = 0
    out_of_order_packets: int = 0
    out_of_frame: int = 0
    late_events: int = 0
    skipped_events: int = 0
    truncated_bytes: int = 0
    invalid_words: int = 0
    triggers: int = 0
    dropped_windows: int = 0
    dropped_events: int = 0
    dropped_packets: int = 0
    resets: int = 0
    hot_pixels: int = 0
    drift_ppm: float = 0.0
