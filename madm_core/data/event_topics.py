"""Events out of the messages of one topic, whatever their type, on the host's clock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from madm_core.errors import InvalidInputError
from madm_core.events import EventDecoder
from madm_core.messages.event_messages import parse_event_array, parse_event_packet, parse_point_cloud2

EVENT_PACKET = "event_camera_msgs/msg/EventPacket"
EVENT_ARRAYS = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
EVENT_TYPES = (EVENT_PACKET, *EVENT_ARRAYS)
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"


class EventBatch(NamedTuple):
    """The events of one message.

    ``events`` is ``EVENT_DTYPE`` with ``t`` in nanoseconds of the host's clock; ``size`` the sensor's (height, width),
    None where the message does not say it.
    """

    events: npt.NDArray[np.void]
    stamp_ns: int
    frame_id: str
    size: tuple[int, int] | None


class EventMessageReader:
    """Reads the messages of one topic in their order; the decoder's state lives from message to message.

    Args:
        type_name: One of :data:`EVENT_TYPES`, or :data:`POINT_CLOUD`.

    Event times of an EventPacket are the header's stamp plus the sensor's time since the packet's first event.
    """

    def __init__(self, type_name: str) -> None:
        self._type = type_name
        self._decoder: EventDecoder | None = None

    def reset(self) -> None:
        """Forgets the decoder's state: the recording starts again."""
        self._decoder = None

    def read(self, cdr: bytes) -> EventBatch:
        """The events of a serialized message.

        Raises:
            InvalidInputError: The message is damaged or of an unknown encoding.
        """
        if self._type == EVENT_PACKET:
            return self._read_packet(cdr)
        if self._type in EVENT_ARRAYS:
            events, width, height, header = parse_event_array(cdr)
            return EventBatch(events, header.stamp_ns, header.frame_id, (height, width))
        if self._type == POINT_CLOUD:
            events, header = parse_point_cloud2(cdr)
            return EventBatch(events, header.stamp_ns, header.frame_id, None)
        raise InvalidInputError("not an event message", reason="type", got=self._type, expected=", ".join(EVENT_TYPES))

    def _read_packet(self, cdr: bytes) -> EventBatch:
        packet, header = parse_event_packet(cdr)
        kind = (packet.encoding, packet.width, packet.height)
        decoder = self._decoder
        if decoder is None or (decoder.encoding, decoder.width, decoder.height) != kind:
            decoder = self._decoder = EventDecoder(*kind)
        events = decoder.decode(packet.data, packet.time_base, big_endian=packet.is_bigendian)
        if len(events):
            # An event that a sensor's noisy clock puts before the first one counts as simultaneous with it.
            since_first = np.maximum(events["t"] - events["t"][0], 0)
            events["t"] = since_first * decoder.tick_ns + header.stamp_ns
        return EventBatch(events, header.stamp_ns, header.frame_id, (packet.height, packet.width))
