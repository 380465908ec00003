"""Events as ``sensor_msgs/PointCloud2``, for systems that have only ROS's common interfaces.

Layout of a point, 12 bytes, little-endian: ``x`` uint16 at 0, ``y`` uint16 at 2, ``t`` uint32 at 4 (nanoseconds since
the header's stamp, so up to 4.29 s), ``p`` uint8 at 8 (1 brighter, 0 darker). The cloud has one row. The sensor's size
is not part of the message. :func:`madm_core.messages.event_messages.parse_point_cloud2` reads it back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.data.event_topics import POINT_CLOUD, EventMessageReader
from madm_core.data.message_types import stamp_fields, standard_types
from madm_core.errors import InvalidInputError

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
        type_name: One of :data:`madm_core.data.event_topics.EVENT_TYPES`.
    """

    def __init__(self, type_name: str) -> None:
        self._reader = EventMessageReader(type_name)

    def reset(self) -> None:
        """Forgets the decoder's state: the recording starts again."""
        self._reader.reset()

    def convert(self, cdr: bytes) -> bytes:
        """A serialized event message as a serialized PointCloud2.

        Raises:
            InvalidInputError: The message is damaged or of an unknown encoding.
        """
        batch = self._reader.read(cdr)
        # Some drivers stamp an array with its last event; a cloud counts from its stamp, which must be the earliest.
        first_ns = int(batch.events["t"].min()) if len(batch.events) else batch.stamp_ns
        fields = event_cloud_fields(batch.events, min(batch.stamp_ns, first_ns), batch.frame_id)
        return standard_types().encode(POINT_CLOUD, fields)
