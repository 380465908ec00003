"""StreetWorld's sensors as ROS messages, written without ROS: the same bytes go live and into bags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from madm_core.data.event_clouds import event_cloud_fields
from madm_core.data.event_topics import EVENT_PACKET, POINT_CLOUD
from madm_core.data.message_types import stamp_fields, standard_types
from madm_core.messages.image_arrays import array_to_image_fields
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.drive import Instant
from madm_core.streetworld.event_sensor import Events

IMAGE, CAMERA_INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
FRAME_ID = "street_camera_optical_frame"
LABELS_TOPIC = "labels"
INSTANCES_TOPIC = "instances"
EVENTS_TOPIC = "events"
EventsAs = Literal["point_cloud2", "event_packet"]
_PICTURES = (("rgb", "rgb8"), ("depth", "32FC1"), ("thermal", "mono16"))


@dataclass(frozen=True)
class OutgoingMessage:
    """One message: its topic (relative), type, CDR bytes and stamp."""

    topic: str
    type: str
    data: bytes
    stamp_ns: int


class StreetMessages:
    """Makes messages of instants.

    Args:
        camera: For ``camera_info``.
        start_ns: Host time of the drive's start, nanoseconds since the epoch.
        events_as: ``sensor_msgs/PointCloud2`` or ``event_camera_msgs/EventPacket`` in its ``mono`` encoding.
        instances: Also send the numbers of vehicles and people (``mono16``), wherever there are labels.

    Pictures, ``camera_info`` and labels of an instant have equal stamps. A message of events holds those between the
    instant before and this one and is stamped with the instant before (its stamp is never later than its first event),
    at which there are labels as well: with an event camera labels come for every instant, more often than pictures.
    """

    def __init__(
        self, camera: Camera, start_ns: int, events_as: EventsAs = "point_cloud2", *, instances: bool = False
    ) -> None:
        self._camera = camera
        self._start_ns = start_ns
        self._as_packets = events_as == "event_packet"
        self._with_instances = instances
        self._before_ns: int | None = None
        self._sequence = 0

    def topics(self, sensors: tuple[str, ...]) -> dict[str, str]:
        """Topic -> type for these sensors."""
        topics = {LABELS_TOPIC: IMAGE, **({INSTANCES_TOPIC: IMAGE} if self._with_instances else {})}
        for name, _ in _PICTURES:
            if name in sensors:
                topics |= {f"{name}/image_raw": IMAGE, f"{name}/camera_info": CAMERA_INFO}
        if "event" in sensors:
            topics[EVENTS_TOPIC] = EVENT_PACKET if self._as_packets else POINT_CLOUD
        return topics

    def of(self, instant: Instant) -> list[OutgoingMessage]:
        """The messages of the next instant; instants must come in order."""
        stamp_ns = self._start_ns + instant.time_ns
        header = {"stamp": stamp_fields(stamp_ns), "frame_id": FRAME_ID}
        messages = []
        if instant.events is not None and self._before_ns is not None:
            messages.append(self._events(instant.events, self._before_ns))
        self._before_ns = stamp_ns
        info = None
        for name, encoding in _PICTURES:
            picture = getattr(instant, name)
            if picture is None:
                continue
            info = info or self._encoded(CAMERA_INFO, self._camera_info(header))
            image = self._encoded(IMAGE, {"header": header, **array_to_image_fields(picture, encoding)})
            messages.append(OutgoingMessage(f"{name}/image_raw", IMAGE, image, stamp_ns))
            messages.append(OutgoingMessage(f"{name}/camera_info", CAMERA_INFO, info, stamp_ns))
        labels = self._encoded(IMAGE, {"header": header, **array_to_image_fields(instant.labels, "mono8")})
        messages.append(OutgoingMessage(LABELS_TOPIC, IMAGE, labels, stamp_ns))
        if self._with_instances:
            fields = {"header": header, **array_to_image_fields(instant.instances, "mono16")}
            messages.append(OutgoingMessage(INSTANCES_TOPIC, IMAGE, self._encoded(IMAGE, fields), stamp_ns))
        return messages

    @staticmethod
    def _encoded(type_name: str, fields: dict[str, Any]) -> bytes:
        return standard_types().encode(type_name, fields)

    def _camera_info(self, header: dict[str, Any]) -> dict[str, Any]:
        matrix = self._camera.matrix.astype(np.float64)
        return {
            "header": header,
            "height": self._camera.height,
            "width": self._camera.width,
            "distortion_model": "plumb_bob",
            "d": np.zeros(5),
            "k": matrix.ravel(),
            "r": np.eye(3).ravel(),
            "p": np.hstack([matrix, np.zeros((3, 1))]).ravel(),
        }

    def _events(self, events: Events, stamp_ns: int) -> OutgoingMessage:
        absolute = events.copy()
        absolute["t"] += self._start_ns
        if not self._as_packets:
            data = self._encoded(POINT_CLOUD, event_cloud_fields(absolute, stamp_ns, FRAME_ID))
            return OutgoingMessage(EVENTS_TOPIC, POINT_CLOUD, data, stamp_ns)
        words = (
            (absolute["t"] - stamp_ns).astype(np.uint64)
            | absolute["x"].astype(np.uint64) << np.uint64(32)
            | absolute["y"].astype(np.uint64) << np.uint64(48)
            | absolute["p"].astype(np.uint64) << np.uint64(63)
        )
        fields = {
            "header": {"stamp": stamp_fields(stamp_ns), "frame_id": FRAME_ID},
            "height": self._camera.height,
            "width": self._camera.width,
            "seq": self._sequence,
            "time_base": stamp_ns,
            "encoding": "mono",
            "events": words.astype("<u8").view(np.uint8),
        }
        self._sequence += 1
        return OutgoingMessage(EVENTS_TOPIC, EVENT_PACKET, self._encoded(EVENT_PACKET, fields), stamp_ns)
