"""The messages of fuzz_messages.py: a good one of each type, and variants whose fields make no sense."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fuzzing import INTERESTING, mutate
from PIL import Image as Picture
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from madm_core.messages.event_messages import EVENT_MESSAGE_DEFINITIONS

HEIGHT, WIDTH = 24, 32
PERIOD_NS = 20_000_000

_STORE = get_typestore(Stores.ROS2_JAZZY)
for _name, _text in EVENT_MESSAGE_DEFINITIONS.items():
    _STORE.register(get_types_from_msg(_text, _name))

ENCODINGS = ("16UC1", "32FC1", "mono16", "mono8", "8UC1", "rgb8", "bgr8", "rgba8", "bayer_rggb8", "yuv422", "", "64FC1")
EVENT_ENCODINGS = ("evt3", "mono", "libcaer", "libcaer_cmp", "evt2", "evt2.1", "evt21_legacy", "evt9", "")
FORMATS = ("png", "jpeg", "16UC1; compressedDepth png", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl", "")


def type_class(name: str) -> Any:
    """The message class of a type."""
    return _STORE.types[name]


def serialized(message: Any) -> bytes:
    """CDR bytes of a message of :func:`type_class`."""
    return bytes(_STORE.serialize_cdr(message, message.__msgtype__))


def odd(rng: random.Random, usual: int, largest: int = 2**32 - 1) -> int:
    """Mostly ``usual``, else something at which arithmetic goes wrong."""
    return usual if rng.random() < 0.7 else min(rng.choice((*INTERESTING, usual + 1, max(usual - 1, 0))), largest)


def header(stamp_ns: int, rng: random.Random | None = None) -> Any:
    """A header; with ``rng`` one whose stamp and frame may make no sense."""
    seconds, nanoseconds, frame = stamp_ns // 10**9, stamp_ns % 10**9, "camera"
    if rng is not None and rng.random() < 0.3:
        seconds = rng.choice((0, -1, 1, -(2**31), 2**31 - 1, seconds, seconds + 3600, max(seconds - 3600, 0)))
        nanoseconds = rng.choice((nanoseconds, 0, 999_999_999, 10**9, 2**32 - 1))
        frame = rng.choice(("", "camera", "/", "x" * 300, "käm\u0000era", "\U0001f4f7", "../../etc"))
    stamp = type_class("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)
    return type_class("std_msgs/msg/Header")(stamp=stamp, frame_id=frame)


def image(stamp_ns: int, rng: random.Random | None = None, good_encoding: str = "16UC1") -> bytes:
    """A ``sensor_msgs/Image``."""
    pixels = np.full((HEIGHT, WIDTH), 3000, np.uint16)
    fields = {
        "height": HEIGHT, "width": WIDTH, "encoding": good_encoding, "is_bigendian": 0, "step": 2 * WIDTH,
        "data": pixels.view(np.uint8).reshape(-1),
    }  # fmt: skip
    if rng is not None:
        height, width = (rng.choice((HEIGHT, HEIGHT, 1, 2, 7)) for _ in range(2))
        encoding = rng.choice(ENCODINGS)
        sample = {"32FC1": 4, "rgb8": 3, "bgr8": 3, "rgba8": 4, "mono8": 1, "8UC1": 1, "64FC1": 8}.get(encoding, 2)
        step = width * sample + rng.choice((0, 0, 0, 1, 5))
        data = np.frombuffer(rng.randbytes(height * step), np.uint8)
        if rng.random() < 0.3:
            value = rng.choice((0.0, np.nan, np.inf, -np.inf, -1.0, 3e38, 1e-40, 5.0))
            data = np.full(height * step // 4 + 1, value, np.float32).view(np.uint8)[: height * step]
        if rng.random() < 0.2:
            data = data[: rng.randrange(len(data) + 1)]
        fields = {
            "height": odd(rng, height), "width": odd(rng, width), "encoding": encoding,
            "is_bigendian": rng.choice((0, 0, 1, 255)), "step": odd(rng, step), "data": data,
        }  # fmt: skip
    return serialized(type_class("sensor_msgs/msg/Image")(header=header(stamp_ns, rng), **fields))


def compressed(stamp_ns: int, rng: random.Random | None = None) -> bytes:
    """A ``sensor_msgs/CompressedImage`` with a picture, whole or not; a good one is 16 bits deep, which all take."""
    form, pixels = "png", np.full((HEIGHT, WIDTH), 3000, np.uint16)
    data = _encoded(pixels, "PNG")
    if rng is not None:
        form = rng.choice(FORMATS)
        shape = rng.choice(((HEIGHT, WIDTH), (1, 1), (5, 7, 3), (3, 4, 4)))
        kind = rng.choice(("PNG", "PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")) if shape[-1] != 4 else "PNG"
        pixels = np.frombuffer(rng.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
        if kind == "PNG" and len(shape) == 2 and rng.random() < 0.5:
            pixels = pixels.astype(np.uint16) * 257
        data = _encoded(pixels, kind)
        if "compressedDepth" in form:
            data = rng.randbytes(12) + data
        if rng.random() < 0.6:
            data = mutate(data, rng)
    fields = {"format": form, "data": np.frombuffer(data, np.uint8)}
    return serialized(type_class("sensor_msgs/msg/CompressedImage")(header=header(stamp_ns, rng), **fields))


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def event_packet(stamp_ns: int, rng: random.Random | None = None) -> bytes:
    """An ``event_camera_msgs/EventPacket`` of 200 events in 20 ms."""
    t = np.arange(200, dtype=np.uint64) * np.uint64(PERIOD_NS // 200)
    events = (t | np.uint64(3 << 32) | np.uint64(5 << 48) | np.uint64(1 << 63)).view(np.uint8)
    number = stamp_ns // PERIOD_NS
    fields = {
        "height": HEIGHT, "width": WIDTH, "seq": number, "time_base": stamp_ns, "encoding": "mono",
        "is_bigendian": False, "events": events,
    }  # fmt: skip
    if rng is not None:
        if rng.random() < 0.5:
            events = np.frombuffer(rng.randbytes(rng.choice((0, 1, 7, 64, 400, 401))), np.uint8)
        fields = {
            "height": odd(rng, HEIGHT), "width": odd(rng, WIDTH), "seq": odd(rng, number, 2**64 - 1),
            "time_base": rng.choice((stamp_ns, 0, 2**63 - 1, 2**63, 2**64 - 1, 10**9)),
            "encoding": "mono" if rng.random() < 0.5 else rng.choice(EVENT_ENCODINGS),
            "is_bigendian": rng.random() < 0.2, "events": events,
        }  # fmt: skip
    return serialized(type_class("event_camera_msgs/msg/EventPacket")(header=header(stamp_ns, rng), **fields))


def event_array(stamp_ns: int, rng: random.Random | None = None, package: str = "dvs_msgs") -> bytes:
    """A ``dvs_msgs`` or ``prophesee_event_msgs`` EventArray of 20 events in 20 ms."""
    time_class, event_class = type_class("builtin_interfaces/msg/Time"), type_class(f"{package}/msg/Event")
    events, height, width = [], HEIGHT, WIDTH
    for index in range(20):
        t = stamp_ns + index * PERIOD_NS // 20
        seconds, nanoseconds, x = t // 10**9, t % 10**9, index
        if rng is not None and rng.random() < 0.2:
            seconds = rng.choice((0, -1, -(2**31), 2**31 - 1, seconds + 1000))
            nanoseconds, x = rng.choice((0, 2**32 - 1)), rng.choice((0, WIDTH, 65535))
        stamp = time_class(sec=seconds, nanosec=nanoseconds)
        events.append(event_class(x=x, y=index % HEIGHT, ts=stamp, polarity=index % 2 == 0))
    if rng is not None:
        height, width = odd(rng, HEIGHT), odd(rng, WIDTH)
        events = events[: rng.choice((20, 20, 1, 0))]
    fields = {"height": height, "width": width, "events": events}
    return serialized(type_class(f"{package}/msg/EventArray")(header=header(stamp_ns, rng), **fields))


def point_cloud(stamp_ns: int, rng: random.Random | None = None) -> bytes:
    """A ``sensor_msgs/PointCloud2`` of 20 events with fields x, y (uint16), t (float64 seconds), p (uint8)."""
    field_class = type_class("sensor_msgs/msg/PointField")
    points = np.zeros(20, np.dtype({"names": ["x", "y", "t", "p"], "formats": ["<u2", "<u2", "<f8", "u1"],
                                    "offsets": [0, 2, 8, 16], "itemsize": 24}))  # fmt: skip
    points["x"], points["y"] = np.arange(20), np.arange(20)
    points["t"] = np.arange(20) * PERIOD_NS / 20 / 1e9
    layout = [("x", 0, 4), ("y", 2, 4), ("t", 8, 8), ("p", 16, 2)]
    step, count, big = 24, 20, False
    if rng is not None:
        points["t"][rng.randrange(20)] = rng.choice((np.nan, np.inf, -1e300, 1e300, 1e6, -5.0, 1e12, 0.001))
        layout = [(name, odd(rng, offset), odd(rng, code, 255)) for name, offset, code in layout]
        rng.shuffle(layout)
        layout = layout[: rng.choice((4, 4, 4, 3, 0))]
        step, count, big = odd(rng, 24), odd(rng, 20), rng.random() < 0.2
    data = points.view(np.uint8)
    return serialized(
        type_class("sensor_msgs/msg/PointCloud2")(
            header=header(stamp_ns, rng), height=1 if rng is None else odd(rng, 1), width=count,
            fields=[field_class(name=n, offset=o, datatype=d, count=1) for n, o, d in layout],
            is_bigendian=big, point_step=step, row_step=min(step * count, 2**32 - 1), data=data, is_dense=True,
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """An input type: how a message is made, and the modalities that take it."""

    type_name: str
    make: Callable[..., bytes]
    modalities: tuple[str, ...]


KINDS = {
    "Image": Kind("sensor_msgs/msg/Image", image, ("depth", "thermal")),
    "CompressedImage": Kind("sensor_msgs/msg/CompressedImage", compressed, ("thermal", "depth")),
    "EventPacket": Kind("event_camera_msgs/msg/EventPacket", event_packet, ("event",)),
    "EventArray dvs": Kind("dvs_msgs/msg/EventArray", event_array, ("event",)),
    "EventArray prophesee": Kind(
        "prophesee_event_msgs/msg/EventArray",
        lambda stamp_ns, rng=None: event_array(stamp_ns, rng, "prophesee_event_msgs"),
        ("event",),
    ),
    "PointCloud2": Kind("sensor_msgs/msg/PointCloud2", point_cloud, ("event",)),
}
