"""Event camera messages straight from their CDR bytes, as views where the layout allows it.

Deserialising a message of 100,000 events into Python objects costs most of a second; a view of its buffer costs
nothing.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madm_core.errors import InvalidInputError
from madm_core.events.event_array import EVENT_DTYPE, make_events
from madm_core.events.packet import EventPacketFields, MessageHeader
from madm_core.messages.cdr import CdrReader

EVENT_MESSAGE_DEFINITIONS = {
    "event_camera_msgs/msg/EventPacket": (
        "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\nstring encoding\n"
        "bool is_bigendian\nuint8[] events\n"
    ),
    "dvs_msgs/msg/Event": "uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n",
    "dvs_msgs/msg/EventArray": "std_msgs/Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n",
    "prophesee_event_msgs/msg/Event": "uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n",
    "prophesee_event_msgs/msg/EventArray": (
        "std_msgs/Header header\nuint32 height\nuint32 width\nprophesee_event_msgs/Event[] events\n"
    ),
}
"""Message type -> definition, for type stores that do not know these packages."""

# After the first event of an EventArray every 16 bytes hold one: CDR pads the 13 bytes so that `sec` falls on 4.
_ARRAY_EVENT = np.dtype(
    {
        "names": ["x", "y", "sec", "nanosec", "p"],
        "formats": ["<u2", "<u2", "<i4", "<u4", "u1"],
        "offsets": [0, 2, 6, 10, 14],
        "itemsize": 16,
    }
)
_POINT_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}

_MAX_SECONDS = float(1 << 31)
"""Times beyond the range of a ROS stamp are no times."""


def parse_event_packet(cdr: bytes | bytearray | memoryview) -> tuple[EventPacketFields, MessageHeader]:
    """Read a serialized event_camera_msgs/msg/EventPacket; the packet's ``data`` is a view of ``cdr``.

    Raises:
        InvalidInputError: ``cdr`` is not such a message or ends early (``reason`` cdr or truncated).
    """
    reader = CdrReader(cdr, "event_camera_msgs/msg/EventPacket")
    header = MessageHeader(*reader.header())
    height, width, seq, time_base = reader.number("I"), reader.number("I"), reader.number("Q"), reader.number("Q")
    encoding = reader.string()
    big_endian = bool(reader.number("B"))
    data = np.frombuffer(reader.octets(), np.uint8)
    return EventPacketFields(encoding, data, width, height, seq, time_base, header.stamp_ns, big_endian), header


def parse_event_array(cdr: bytes | bytearray | memoryview) -> tuple[NDArray[np.void], int, int, MessageHeader]:
    """Read a serialized dvs_msgs or prophesee_event_msgs EventArray.

    Returns:
        Events (EVENT_DTYPE, ``t`` in nanoseconds of the host's clock), width, height, header.

    Raises:
        InvalidInputError: ``cdr`` is not such a message or ends early.
    """
    reader = CdrReader(cdr, "EventArray")
    header = MessageHeader(*reader.header())
    height, width, count = reader.number("I"), reader.number("I"), reader.number("I")
    events = np.zeros(count if count <= len(reader.buffer) // 13 else 0, EVENT_DTYPE)
    if count == 0:
        return events, width, height, header
    reader.need(16 * count - 3)
    first = reader.position
    # The first event starts aligned, two bytes later than the pattern of the others would have it.
    head = struct.unpack_from(reader.order + "HHiIB", reader.buffer, first)
    events[0] = (head[0], head[1], head[2] * 1_000_000_000 + head[3], head[4] != 0)
    if count > 1:
        whole = count - 1 if first + 14 + 16 * (count - 1) <= len(reader.buffer) else count - 2
        dtype = _ARRAY_EVENT if reader.order == "<" else _ARRAY_EVENT.newbyteorder(">")
        others = np.frombuffer(reader.buffer, dtype, whole, first + 14)
        if whole < count - 1:  # the last event lacks the final padding byte
            rest = bytes(reader.buffer[first + 14 + 16 * whole :]).ljust(16, b"\0")
            others = np.concatenate([others, np.frombuffer(rest, dtype)])
        events["x"][1:], events["y"][1:], events["p"][1:] = others["x"], others["y"], others["p"] != 0
        events["t"][1:] = others["sec"].astype(np.int64) * 1_000_000_000 + others["nanosec"]
    return events, width, height, header


def parse_point_cloud2(message: Any) -> tuple[NDArray[np.void], MessageHeader]:
    """Read events from a sensor_msgs/msg/PointCloud2 with the fields x, y, t, p.

    Args:
        message: The message object (of rclpy or rosbags), or its CDR bytes. ``x`` and ``y`` are pixels of any numeric
            type; ``p`` is above 0 for ON. ``t`` as FLOAT64 is seconds since the epoch or, when below 1e6, since the
            header's stamp; as FLOAT32 seconds since the stamp; as an integer nanoseconds since the stamp.

    Returns:
        Events (EVENT_DTYPE, ``t`` in nanoseconds of the host's clock) and the header. The sensor's size is not in the
        message.

    Raises:
        InvalidInputError: A field is missing or of an unknown type, or the data are shorter than announced.
    """
    if isinstance(message, (bytes, bytearray, memoryview)):
        header, fields, big_endian, point_step, data, points = _read_point_cloud2(message)
    else:
        stamp = message.header.stamp
        header = MessageHeader(stamp.sec, stamp.nanosec, message.header.frame_id)
        fields = {field.name: (field.offset, field.datatype) for field in message.fields}
        big_endian, point_step = message.is_bigendian, message.point_step
        data, points = np.frombuffer(message.data, np.uint8), message.width * message.height
    missing = [name for name in "xytp" if name not in fields]
    unknown = [name for name in "xytp" if name in fields and fields[name][1] not in _POINT_TYPES]
    if missing or unknown:
        raise InvalidInputError(
            "a PointCloud2 does not hold events",
            reason="fields",
            got=", ".join(f"{name} of type {fields[name][1]}" for name in fields) or "no fields",
            expected="numeric fields x, y, t, p",
        )
    ends = [fields[name][0] + np.dtype(_POINT_TYPES[fields[name][1]]).itemsize for name in "xytp"]
    if point_step < max(ends) or len(data) < points * point_step:
        raise InvalidInputError(
            "a PointCloud2 is shorter than it says",
            reason="truncated",
            got=f"{len(data)} bytes, point_step {point_step}",
            expected=f"{points} points of at least {max(ends)} bytes",
        )
    if points == 0:  # then nothing bounds point_step, and numpy takes no items of 2 GiB and more
        return np.empty(0, EVENT_DTYPE), header
    order = ">" if big_endian else "<"
    dtype = np.dtype(
        {
            "names": list("xytp"),
            "formats": [order + _POINT_TYPES[fields[name][1]] for name in "xytp"],
            "offsets": [fields[name][0] for name in "xytp"],
            "itemsize": point_step,
        }
    )
    cloud = np.frombuffer(data, dtype, points)
    seconds = cloud["t"].astype(np.float64) * (1.0 if cloud["t"].dtype.kind == "f" else 1e-9)
    usable = np.isfinite(cloud["x"]) & np.isfinite(cloud["y"]) & (np.abs(seconds) < _MAX_SECONDS)
    cloud, seconds = (cloud, seconds) if usable.all() else (cloud[usable], seconds[usable])
    if cloud["t"].dtype.kind == "f":
        absolute = len(seconds) > 0 and seconds[0] >= 1e6
        ticks = np.rint(seconds * 1e9).astype(np.int64) + (0 if absolute else header.stamp_ns)
    else:
        ticks = cloud["t"].astype(np.int64) + header.stamp_ns
    # A pixel that uint16 cannot hold lies outside every sensor; the largest value lets it be dropped and counted.
    # In float64: numpy rounds 8-bit integers to float16, which cannot hold that value.
    x, y = (
        np.where((cloud[name] >= 0) & (cloud[name] < 65535), np.rint(cloud[name], dtype=np.float64), 65535)
        for name in "xy"
    )
    return make_events(x, y, ticks, cloud["p"]), header


def _read_point_cloud2(
    cdr: bytes | bytearray | memoryview,
) -> tuple[MessageHeader, dict[str, tuple[int, int]], bool, int, NDArray[np.uint8], int]:
    reader = CdrReader(cdr, "sensor_msgs/msg/PointCloud2")
    header = MessageHeader(*reader.header())
    points = reader.number("I") * reader.number("I")
    fields = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        offset, datatype = reader.number("I"), reader.number("B")
        reader.number("I")  # elements a field; 1 for events
        fields[name] = (offset, datatype)
    big_endian, point_step = bool(reader.number("B")), reader.number("I")
    reader.number("I")  # row_step: unorganised clouds have one row
    return header, fields, big_endian, point_step, np.frombuffer(reader.octets(), np.uint8), points
