"""Sensor topics: subscribing, counting, noticing time that jumps back, and turning messages into frames.

Subscriptions are raw: a message that is dropped for a newer one then costs nothing but its arrival, and event messages
are read straight from their serialised bytes.
"""

from __future__ import annotations

import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from madm_core.errors import InvalidInputError
from madm_core.messages.image_arrays import ENCODINGS, compressed_image_to_array, image_to_array, single_channel
from madm_core.messages.serialized_image import parse_image
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.image_conversion import message_to_array
from madm_ros.message_types import message_class
from madm_ros.qos import describe_publishers, policy_name
from madm_ros.throttled_log import ThrottledLog

_WITHOUT_PACKAGE = (
    "publish events as sensor_msgs/msg/PointCloud2 with fields x, y, t, p and set the parameter event_message_type"
)


@dataclass(frozen=True)
class Frame:
    """Something to segment, on its way from the spinning thread to the worker.

    Args:
        payload: The serialised image message, or an event window.
        epoch: Grows by one each time the input's time jumps back; what was learned in an older epoch is void.
        received_s: ``time.perf_counter()`` at arrival (of the packet that closed the window).
    """

    payload: Any
    epoch: int
    received_s: float


@dataclass(frozen=True)
class SensorFrame:
    """A decoded frame.

    Args:
        header: The message's header, to be published untouched.
        array: What the modality's ``encode`` takes.
        details: Facts for diagnostics.
    """

    header: Header
    array: np.ndarray
    details: dict[str, object] = field(default_factory=dict)


class SensorInput(ABC):
    """One sensor topic of the node.

    Args:
        node: Owner of the subscription.
        topic: Name before remapping.
        type_name: Message type, ``package/msg/Name``.
        qos: What is asked of publishers.
        offer: Takes each frame, in the spinning thread.
        statistics: Where messages and frames are counted.
        warn: Takes (kind, text) of a warning.
        time_jump_s: Returns how far a stamp may go back before it counts as a jump, in seconds.

    Raises:
        MissingDependencyError: The message type's package is not installed (its apt package is named).
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        type_name: str,
        qos: QoSProfile,
        *,
        offer: Callable[[Frame], None],
        statistics: FrameStatistics,
        warn: ThrottledLog,
        time_jump_s: Callable[[], float],
    ) -> None:
        self._node = node
        self.local_name = topic
        self.type_name = type_name
        self.qos = qos
        self._offer = offer
        self._statistics = statistics
        self._warn = warn
        self._time_jump_s = time_jump_s
        self._type = message_class(type_name, otherwise=_WITHOUT_PACKAGE)
        self._subscription: Subscription | None = None
        self._last_stamp_ns: int | None = None
        self.epoch = 0
        self.time_jumps = 0
        self.lost_in_transport = 0
        self.incompatible_publishers = 0
        self.last_message_s = time.monotonic()

    @property
    def topic(self) -> str:
        """The topic's full name after remapping."""
        return self._node.resolve_topic_name(self.local_name)

    @property
    def subscribed(self) -> bool:
        """Whether messages are being received."""
        return self._subscription is not None

    def subscribe(self) -> None:
        """Start receiving; nothing that was remembered from before counts any more."""
        if self._subscription is not None:
            return
        self.forget()
        self.last_message_s = time.monotonic()
        self._subscription = self._node.create_subscription(
            self._type,
            self.local_name,
            self._on_message,
            self.qos,
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible_qos, message_lost=self._on_message_lost
            ),
        )

    def unsubscribe(self) -> None:
        """Stop receiving."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def forget(self) -> None:
        """Start a new epoch: windows and smoothed values of before are void (time jumped, or the input paused)."""
        self.epoch += 1
        self._last_stamp_ns = None

    def start_over(self) -> None:
        """Time jumped: count it and forget."""
        self.time_jumps += 1
        self.forget()

    @property
    def packets(self) -> tuple[int, int] | None:
        """Packets decoded and packets missing in the sequence so far; None for messages without a sequence."""
        return None

    def tick(self) -> None:  # noqa: B027 - most inputs have nothing to do between messages
        """Called regularly in the spinning thread."""

    @abstractmethod
    def decode(self, frame: Frame) -> SensorFrame:
        """Turn a frame into an array, in the worker's thread.

        Raises:
            InvalidInputError: The message cannot be used.
        """

    @abstractmethod
    def details(self) -> dict[str, object]:
        """Facts about the stream for diagnostics."""

    @abstractmethod
    def _take(self, raw: bytes) -> None:
        """Make frames of a message, in the spinning thread."""

    def _on_message(self, raw: bytes) -> None:
        self._statistics.message(len(raw))
        self.last_message_s = time.monotonic()
        stamp_ns = stamp_of(raw)
        if stamp_ns:
            if self._last_stamp_ns is not None and stamp_ns < self._last_stamp_ns - self._time_jump_s() * 1e9:
                back_s = (self._last_stamp_ns - stamp_ns) / 1e9
                self.start_over()
                self._warn(
                    "time_jump",
                    f"time jumped back by {back_s:.3f} s on {self.topic}: windows and smoothed values start afresh",
                )
            self._last_stamp_ns = stamp_ns
        self._take(raw)

    def _on_incompatible_qos(self, event: Any) -> None:
        self.incompatible_publishers = event.total_count
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        self._warn(
            "incompatible_qos",
            f"a publisher on {self.topic} offers QoS that does not fit ({policy_name(event.last_policy_kind)}): "
            f"got {describe_publishers(publishers)}; expected at least {self.qos.reliability.name.lower()}. "
            "Set the parameter input_reliability to best_effort, or make the publisher reliable",
        )

    def _on_message_lost(self, event: Any) -> None:
        self.lost_in_transport = event.total_count


class ImageInput(SensorInput):
    """``sensor_msgs/Image`` or ``CompressedImage`` frames of a depth or thermal camera."""

    def _take(self, raw: bytes) -> None:
        self._statistics.received()
        self._offer(Frame(raw, self.epoch, time.perf_counter()))

    def decode(self, frame: Frame) -> SensorFrame:
        """Read the image message. The array is ``(H, W)`` uint8, uint16 or float32, a view of the bytes if possible."""
        if self._type is Image:
            image = parse_image(frame.payload)
            header = Header(stamp=Time(sec=image.sec, nanosec=image.nanosec), frame_id=image.frame_id)
            encoding = image.encoding
            # What our own conversions do not know is left to cv_bridge, which wants a message.
            known = encoding in ENCODINGS or not encoding
            pixels = image_to_array(image) if known else message_to_array(self._deserialized(frame))
        else:
            message = self._deserialized(frame)
            header, encoding = message.header, message.format
            pixels = compressed_image_to_array(message)
        pixels = single_channel(pixels)
        details: dict[str, object] = {"encoding": encoding, "height": pixels.shape[0], "width": pixels.shape[1]}
        return SensorFrame(header, pixels, details)

    def details(self) -> dict[str, object]:
        """Nothing beyond what every input counts."""
        return {}

    def _deserialized(self, frame: Frame) -> Any:
        try:
            return deserialize_message(frame.payload, self._type)
        except Exception as error:  # rclpy raises RCLError, MemoryError or ValueError, by where the bytes are wrong
            raise InvalidInputError(
                "the message cannot be read",
                reason="serialization",
                got=f"{len(frame.payload)} bytes: {error}",
                expected=f"a serialised {self.type_name}",
            ) from error


def stamp_of(raw: bytes) -> int | None:
    """The header stamp in nanoseconds of any serialised message that begins with a ``std_msgs/Header``.

    Returns:
        None when the bytes do not begin like such a message; 0 when the sender left the stamp empty.
    """
    if len(raw) < 12 or raw[0] != 0 or raw[1] > 1:
        return None
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] else ">iI", raw, 4)
    if seconds < 0 or nanoseconds >= 1_000_000_000:
        return None  # nonsense must not look like time that jumps back
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
