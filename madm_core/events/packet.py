"""One message of an event camera, without ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EventPacketFields:
    """The fields of event_camera_msgs/msg/EventPacket.

    Attributes:
        encoding: ``evt3``, ``mono``, ...; see :data:`madm_core.events.decoders.ENCODINGS`.
        data: (N,) uint8, usually a view of the message's buffer; or bytes.
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        seq: Running number of the packet, None where the source has none.
        time_base: Time that the encoding's event times count from, in the encoding's unit.
        stamp_ns: The header's stamp: host time of the packet's first event, nanoseconds.
        is_bigendian: Byte order of the sending host.
    """

    encoding: str
    data: NDArray[np.uint8] | bytes | memoryview
    width: int
    height: int
    seq: int | None
    time_base: int
    stamp_ns: int
    is_bigendian: bool = False


@dataclass(frozen=True)
class MessageHeader:
    """The fields of std_msgs/msg/Header."""

    sec: int
    nanosec: int
    frame_id: str

    @property
    def stamp_ns(self) -> int:
        """The stamp in nanoseconds."""
        return self.sec * 1_000_000_000 + self.nanosec
