"""Events as ``sensor_msgs/PointCloud2``, for systems that have only ROS's common interfaces.

Layout of a point, 12 bytes, little-endian: ``x`` uint16 at 0, ``y`` uint16 at 2, ``t`` uint32 at 4 (nanoseconds since the
header's stamp, so up to 4.29 s), ``p`` uint8 at 8 (1 brighter, 0 darker). The cloud has one row. The sensor's size is not part
of the message. :func:`madm_core.messages.event_messages.parse_point_cloud2` reads it back.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.data.message_types import stamp_fields, standard_types
from madm_core.errors import InvalidInputError
from madm_core.events import EventDecoder
from madm_core.messages.event_messages import parse_event_array, parse_event_packet

logger = logging.getLogger(__name__)

EVENT_PACKET = "event_camera_msgs/msg/EventPacket"
EVENT_ARRAYS = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
EVENT_TYPES = (EVENT_PACKET, *EVENT_ARRAYS)
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"

_UINT8, _UINT16, _UINT32 = 2, 4, 6  # sensor_msgs/PointField
_POINT = np.dtype(
    {"names": ["x", "y", "t", "p"], "formats": ["<u2", "<u2", "<u4", "u1"], "offsets": [0, 2, 4, 8], "itemsize": 12}
)
_FIELDS = [
    {"name": name, "offset": offset, "datatype": kind, "count": 1}
    for name, offset, kind in (("x", 0, _UINT16), ("y", 2, _UINT16), ("t", 4, _UINT32), ("p", 8, _UINT8))
]


def event_cloud_fields(events: npt.NDArray[np.void], stamp_ns: int, frame_id: str) -> dict[str, Any]:
    """The fields of a PointCloud2 that holds events.

    Args:
        events: (N,) ``EVENT_DTYPE`` with ``t`` in nanoseconds of the host's clock.
        stamp_ns: Stamp of the header: not later than the first event.
        frame_id: Of the header.

    Raises:
        InvalidInputError: An event is earlier than the stamp or more than 4.29 s later.
    """
    offsets = events["t"] - stamp_ns
    if len(offsets) and (offsets.min() < 0 or offsets.max() > 0xFFFFFFFF):
        raise InvalidInputError(
            "events do not fit into one point cloud",
            reason="time",
            got=f"times from {offsets.min() / 1e9:.6f} to {offsets.max() / 1e9:.6f} s after the stamp",
            expected="0 to 4.29 s",
        )
    points = np.zeros(len(events), _POINT)
    points["x"], points["y"], points["t"], points["p"] = events["x"], events["y"], offsets, events["p"]
    return {
        "header": {"stamp": stamp_fields(stamp_ns), "frame_id": frame_id},
        "height": 1,
        "width": len(points),
        "fields": _FIELDS,
        "is_bigendian": False,
        "point_step": _POINT.itemsize,
        "row_step": _POINT.itemsize * len(points),
        "data": points.tobytes(),
        "is_dense": True,
    }


class EventCloudConverter:
    """Turns the event messages of one topic into point clouds with the same header, message by message.

    Args:
        type_name: One of :data:`EVENT_TYPES`.

    Event times of an EventPacket are the header's stamp plus the sensor's time since the packet's first event.
    """

    def __init__(self, type_name: str) -> None:
        self._is_packet = type_name == EVENT_PACKET
        self._decoder: EventDecoder | None = None

    def reset(self) -> None:
        """Forgets the decoder's state: the recording starts again."""
        self._decoder = None

    def convert(self, cdr: bytes) -> bytes:
        """A serialized event message as a serialized PointCloud2.

        Raises:
            InvalidInputError: The message is damaged or of an unknown encoding.
        """
        if self._is_packet:
            events, stamp_ns, frame_id = self._decode_packet(cdr)
        else:
            events, _, _, header = parse_event_array(cdr)
            # Drivers stamp an array with its first or its last event; a cloud counts from its stamp, so it must be the first.
            stamp_ns = min(header.stamp_ns, int(events["t"].min())) if len(events) else header.stamp_ns
            frame_id = header.frame_id
        return standard_types().encode(POINT_CLOUD, event_cloud_fields(events, stamp_ns, frame_id))

    def _decode_packet(self, cdr: bytes) -> tuple[npt.NDArray[np.void], int, str]:
        packet, header = parse_event_packet(cdr)
        decoder = self._decoder
        if decoder is None or (decoder.encoding, decoder.width, decoder.height) != (
            packet.encoding, packet.width, packet.height,
        ):  # fmt: skip
            decoder = self._decoder = EventDecoder(packet.encoding, packet.width, packet.height)
        events = decoder.decode(packet.data, packet.time_base, big_endian=packet.is_bigendian)
        if len(events):
            # An event that a sensor's noisy clock puts before the first one counts as simultaneous with it.
            since_first = np.maximum(events["t"] - events["t"][0], 0)
            events["t"] = since_first * decoder.tick_ns + header.stamp_ns
        return events, header.stamp_ns, header.frame_id
