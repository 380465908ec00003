"""Event inputs: every message type through the node's input to the same windows, and what must be refused."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2, PointField

from madm_core.errors import ConfigError
from madm_core.modalities import EventModality
from madm_ros import inputs
from madm_ros.event_input import EventInput, event_window
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.inputs import Frame
from madm_ros.node_parameters import DVS_EVENT_ARRAY, EVENT_PACKET, POINT_CLOUD, PROPHESEE_EVENT_ARRAY
from madm_ros.qos import input_qos
from madm_ros.throttled_log import ThrottledLog

HEIGHT, WIDTH = 12, 16
START_S = 1_000_000_000


@pytest.fixture
def receiver(world, monkeypatch):
    # The packages of these types are not on PyPI; the input reads their bytes and needs the class to subscribe only.
    monkeypatch.setattr(inputs, "message_class", lambda name, otherwise: PointCloud2)

    class Receiver:
        def __init__(
            self, type_name: str, size: tuple[int, int] = (HEIGHT, WIDTH), hot_pixel_seconds: float = 0.0, **modality
        ) -> None:
            self.frames: list[Frame] = []
            self.warnings: list[str] = []
            self.statistics = FrameStatistics()
            self.input = EventInput(
                world.node("receiver"),
                "events",
                type_name,
                input_qos("best_effort", 100),
                modality=EventModality(**{"window_ms": 10.0, "max_wait_ms": 100.0, **modality}),
                point_cloud_size=size,
                hot_pixel_seconds=hot_pixel_seconds,
                offer=self.frames.append,
                statistics=self.statistics,
                warn=ThrottledLog(self.warnings.append, lambda: 60.0),
                time_jump_s=lambda: 0.5,
            )

    return Receiver


def cdr_header(stamp_ns: int, frame_id: bytes = b"cam\0") -> bytes:
    return b"\0\1\0\0" + struct.pack("<iII", stamp_ns // 10**9, stamp_ns % 10**9, len(frame_id)) + frame_id


def event_array(t_ns: np.ndarray) -> bytes:
    """A serialised EventArray with ON events at pixel (3, 2)."""
    body = cdr_header(int(t_ns[0])) + struct.pack("<III", HEIGHT, WIDTH, len(t_ns))
    for t in t_ns.tolist():
        for code, value in (("H", 3), ("H", 2), ("i", t // 10**9), ("I", t % 10**9), ("B", 1)):
            body += b"\0" * (-(len(body) - 4) % struct.calcsize(code)) + struct.pack("<" + code, value)
    return body


def mono_packet(t_ns: np.ndarray, encoding: bytes = b"mono\0", size=(HEIGHT, WIDTH), seq: int = 0, x: int = 3) -> bytes:
    """A serialised EventPacket of the encoding mono (64 bits an event: time 32, x 15, y 15 and polarity 1)."""
    base = int(t_ns[0])
    words = b"".join(struct.pack("<Q", (1 << 63) | (2 << 48) | (x << 32) | int(t - base)) for t in t_ns)
    head = cdr_header(base) + struct.pack("<II", *size)
    head += b"\0" * (-(len(head) - 4) % 8) + struct.pack("<QQ", seq, base) + struct.pack("<I", len(encoding)) + encoding
    head += b"\0"
    return head + b"\0" * (-(len(head) - 4) % 4) + struct.pack("<I", len(words)) + words


def point_cloud(t_ns: np.ndarray) -> bytes:
    points = np.zeros(len(t_ns), np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<u4"), ("p", "u1")]))
    points["x"], points["y"], points["p"], points["t"] = 3, 2, 1, t_ns - t_ns[0]
    message = PointCloud2(height=1, width=len(t_ns), point_step=9, row_step=9 * len(t_ns), data=points.tobytes())
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(int(t_ns[0]), 10**9)
    message.header.frame_id = "cam"
    kinds = {"x": PointField.UINT16, "y": PointField.UINT16, "t": PointField.UINT32, "p": PointField.UINT8}
    offsets = {"x": 0, "y": 2, "t": 4, "p": 8}
    message.fields = [PointField(name=n, offset=offsets[n], datatype=kinds[n], count=1) for n in kinds]
    return serialize_message(message)


MAKERS = {
    EVENT_PACKET: mono_packet,
    DVS_EVENT_ARRAY: event_array,
    PROPHESEE_EVENT_ARRAY: event_array,
    POINT_CLOUD: point_cloud,
}


def times(first_ms: float, count: int = 50, every_us: int = 100) -> np.ndarray:
    return START_S * 10**9 + int(first_ms * 1e6) + np.arange(count, dtype=np.int64) * every_us * 1000


@pytest.mark.parametrize("type_name", sorted(MAKERS))
def test_every_message_type_gives_the_same_windows(receiver, type_name):
    received = receiver(type_name)
    for number in range(5):  # 5 ms of events each
        more = {"seq": number} if type_name == EVENT_PACKET else {}
        received.input._on_message(MAKERS[type_name](times(5.0 * number), **more))
    assert len(received.frames) == 2
    for frame, header_ms in zip(received.frames, (5.0, 15.0), strict=True):
        decoded = received.input.decode(frame)
        assert decoded.array.shape == (3, HEIGHT, WIDTH)
        assert decoded.array.dtype == np.float32
        assert decoded.array.sum() == pytest.approx(100.0)
        assert decoded.array[:, 2, 3].sum() == pytest.approx(100.0)
        stamp = decoded.header.stamp.sec * 10**9 + decoded.header.stamp.nanosec
        assert stamp == START_S * 10**9 + int(header_ms * 1e6)  # that of the last message in the window, untouched
        assert decoded.header.frame_id == "cam"
        assert decoded.details["window_events"] == 100
    assert received.statistics.messages[0] == 5
    assert received.input.details()["events_packets"] == 5


def test_what_waits_is_not_overwritten_by_later_windows(receiver):
    received = receiver(DVS_EVENT_ARRAY)
    received.input._on_message(event_array(times(0, count=10)))
    received.input._on_message(event_array(times(10, count=1)))
    kept = received.frames[0].payload.grid.copy()
    for number in range(2, 12):
        received.input._on_message(event_array(times(10.0 * number, count=90)))
    np.testing.assert_array_equal(received.frames[0].payload.grid, kept)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (mono_packet(times(5), encoding=b"evt9\0"), "encoding"),
        (mono_packet(times(5), size=(HEIGHT * 2, WIDTH), seq=1), "size"),
        (mono_packet(times(5))[:60], "truncated"),
        (b"\xff" * 40, "cdr"),
        (b"", "cdr"),
    ],
)
def test_bad_messages_are_counted_and_the_stream_goes_on(receiver, raw, reason):
    received = receiver(EVENT_PACKET)
    received.input._on_message(mono_packet(times(0)))
    received.input._on_message(raw)
    received.input._on_message(mono_packet(times(5), seq=1))
    received.input._on_message(mono_packet(times(10), seq=2))
    assert received.statistics.messages[2] == {reason: 1}
    assert len(received.frames) == 1
    assert received.frames[0].payload.events == 100  # both good packets, nothing of the bad one
    assert len(received.warnings) == 1 and "got" in received.warnings[0] and "expected" in received.warnings[0]


def test_lost_packets_are_counted_by_seq(receiver):
    received = receiver(EVENT_PACKET)
    for seq in (0, 1, 4):
        received.input._on_message(mono_packet(times(5.0 * seq), seq=seq))
    assert received.input.details()["events_lost_packets"] == 2
    assert received.input.packets == (3, 2)


def test_a_bag_that_loops_starts_windows_afresh(receiver):
    received = receiver(DVS_EVENT_ARRAY)
    for _ in range(2):
        for number in range(100):
            received.input._on_message(event_array(times(10.0 * number, count=10)))
    assert received.input.time_jumps == 1
    assert len(received.frames) == 2 * 99
    assert {frame.payload.events for frame in received.frames} == {10}
    assert sorted({frame.epoch for frame in received.frames}) == [0, 1]


def test_a_silent_sensor_still_gives_its_last_events_once_and_may_go_on_later(receiver, monkeypatch):
    received = receiver(DVS_EVENT_ARRAY)
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    received.input._on_message(event_array(times(0, count=10)))
    received.input.tick()
    assert received.frames == []
    now[0] += 0.115
    received.input.tick()
    assert [frame.payload.events for frame in received.frames] == [10]
    for _ in range(30):
        now[0] += 1.0  # the bag is paused ...
        received.input.tick()
    assert len(received.frames) == 1  # ... which must not publish the last stamp again and again ...
    received.input._on_message(event_array(times(10, count=10)))  # ... and it goes on where it was
    received.input._on_message(event_array(times(20, count=10)))
    assert received.frames[-1].payload.events == 10
    assert received.input.details()["events_late_events"] == 0


@pytest.mark.parametrize("type_name", sorted(MAKERS))
def test_messages_that_waited_too_long_are_shed_by_whole_windows(receiver, monkeypatch, type_name):
    received = receiver(type_name)
    now_ns = 7 * 10**18  # of this computer's clock, years away from the stamps
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    for number in range(60):  # 5 ms of events each; some of them wait for longer than the 100 ms that are allowed
        waited_ms = 130 if 20 <= number < 33 else 3
        more = {"seq": number} if type_name == EVENT_PACKET else {}
        message = MAKERS[type_name](times(5.0 * number), **more)
        received.input._on_message_with_info(message, {"received_timestamp": now_ns - waited_ms * 10**6})
    details = received.input.details()
    assert details["events_dropped_packets"] == 13
    assert details["events_dropped_windows"] == 7
    assert details["events_lost_packets"] == 0
    assert {frame.payload.events for frame in received.frames} == {100}  # whole windows, or none
    assert len(received.frames) == 29 - 7
    (warning,) = received.warnings
    assert (
        "1 window(s), 1 message(s)" in warning and "expected" in warning and "100 ms" in warning
    )  # more once a minute


def test_a_middleware_that_tells_no_time_of_receipt_sheds_nothing(receiver):
    received = receiver(EVENT_PACKET)
    for number in range(30):
        received.input._on_message_with_info(mono_packet(times(5.0 * number), seq=number), {"received_timestamp": 0})
    assert received.input.details()["events_dropped_packets"] == 0
    assert len(received.frames) == 14


def test_the_subscription_tells_when_a_message_was_received(receiver, world):
    """Over DDS: a message that waits while the node is busy has waited as long as it was."""
    received = receiver(POINT_CLOUD)
    received.input.subscribe()
    publisher = world.node("camera").create_publisher(PointCloud2, "/events", 10)
    world.spin_until(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(point_cloud(times(0)))
    time.sleep(0.25)
    world.spin_until(lambda: received.statistics.messages[0] > 0)
    assert 0.1e9 < received.input._waited_ns < 30e9


def test_point_clouds_need_the_sensors_size(receiver):
    with pytest.raises(ConfigError, match="event_width and event_height"):
        receiver(POINT_CLOUD, size=(0, 0))


def test_the_window_is_the_models():
    window = event_window(EventModality(window="count", window_count=7, max_wait_ms=20.0))
    assert (window.mode, window.count, window.max_wait_ms) == ("count", 7, 20.0)


def test_a_pixel_that_fires_on_its_own_is_masked_where_asked(receiver):
    counts = {}
    for seconds in (0.0, 0.02):
        made = receiver(EVENT_PACKET, hot_pixel_seconds=seconds)
        for seq in range(8):  # each 10 ms 100 events of one pixel, and one of each of nine others
            at = START_S * 10**9 + seq * 10_000_000
            made.input._on_message(mono_packet(at + np.arange(100) * 1000, seq=10 * seq))
            for x in range(4, 13):
                made.input._on_message(mono_packet(at + np.array([x * 100_000]), seq=10 * seq + x - 3, x=x))
        counts[seconds] = [frame.payload.events for frame in made.frames]
        assert made.input.details()["events_hot_pixels"] == (1 if seconds else 0)
    assert counts[0.0] == [109] * 7
    assert counts[0.02][:2] == [109, 109] and counts[0.02][3:] == [9] * 4
