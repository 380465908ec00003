"""Event cameras: decoders, windows, voxel grids and files."""

from __future__ import annotations

from madm_core.events.decoders import EventDecoder, decode_events
from madm_core.events.event_array import EVENT_DTYPE, TRIGGER_DTYPE
from madm_core.events.files import open_events
from madm_core.events.packet import EventPacketFields, MessageHeader
from madm_core.events.pixel_map import PixelMap
from madm_core.events.representations import events_to_image, polarity_histogram, time_surface
from madm_core.events.stream_statistics import StreamStatistics
from madm_core.events.streaming import EventStream
from madm_core.events.voxel_grid import voxel_grid
from madm_core.events.warming import warm_up
from madm_core.events.windows import ClosedWindow, EventWindow

__all__ = [
    "EVENT_DTYPE",
    "TRIGGER_DTYPE",
    "ClosedWindow",
    "EventDecoder",
    "EventPacketFields",
    "EventStream",
    "EventWindow",
    "MessageHeader",
    "PixelMap",
    "StreamStatistics",
    "decode_events",
    "events_to_image",
    "open_events",
    "polarity_histogram",
    "time_surface",
    "voxel_grid",
    "warm_up",
]
