"""Recorded event messages -> pictures, through the same windows that the node cuts live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from madm_core.data.bag import BagReader
from madm_core.data.crops import Picture
from madm_core.errors import DataError, InvalidInputError
from madm_core.events import ClosedWindow, EventStream, EventWindow
from madm_core.messages.event_messages import parse_event_array, parse_event_packet, parse_point_cloud2
from madm_core.modalities import EventModality

EVENT_TYPES = (
    "event_camera_msgs/msg/EventPacket",
    "dvs_msgs/msg/EventArray",
    "prophesee_event_msgs/msg/EventArray",
    "sensor_msgs/msg/PointCloud2",
)


def event_pictures(
    messages: Iterator[tuple[Any, BagReader]],
    type_name: str,
    modality: EventModality,
    refused: dict[str, int],
    *,
    sensor_size: tuple[int, int] | None = None,
) -> Iterator[Picture]:
    """(H, W, 3) uint8 pictures of the windows in a stream of recorded event messages.

    Args:
        messages: (serialized message, the bag it is from) in recording order.
        type_name: One of :data:`EVENT_TYPES`.
        modality: Says how windows are cut and drawn.
        refused: Counts messages that could not be used, by reason.
        sensor_size: (height, width); needed for PointCloud2, which does not carry it.
    """
    window = EventWindow(modality.window, modality.window_ms, modality.window_count, max_wait_ms=modality.max_wait_ms)
    stream = EventStream(window, modality.bins)
    for data, reader in messages:
        try:
            closed = _add(stream, data, reader, type_name, sensor_size)
        except (InvalidInputError, DataError) as error:
            refused[str(error)] = refused.get(str(error), 0) + 1
            continue
        for finished in closed:
            yield np.round(modality.to_image(finished.grid) * 255).astype(np.uint8)


def _add(
    stream: EventStream, data: Any, reader: BagReader, type_name: str, sensor_size: tuple[int, int] | None
) -> list[ClosedWindow]:
    if type_name.endswith("EventPacket"):
        fields, header = parse_event_packet(data)
        return stream.add(fields, header)
    if type_name.endswith("EventArray"):
        events, width, height, header = parse_event_array(data)
        return stream.add_events(events, width, height, header.stamp_ns, header)
    events, header = parse_point_cloud2(reader.decode(data, type_name))
    if sensor_size is None:
        raise DataError(
            "a PointCloud2 of events does not tell the sensor's size", do="set sensor_size: [height, width] for the bag"
        )
    return stream.add_events(events, sensor_size[1], sensor_size[0], header.stamp_ns, header)
