"""Records what comes back over DDS: the node's pictures, the ground truth of the same stamps, the last diagnostics."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from madm_core.messages.image_arrays import image_to_array

TOPICS = {
    "labels": "/segmentation/labels",
    "overlay": "/segmentation/overlay",
    "input": "/segmentation/input_preview",
    "truth": "/street/labels",
}
"""What is recorded, under which name."""
_KEPT = 400
"""Pictures kept a topic: a demo's length, and a bound on memory."""


@dataclass
class Recording:
    """Pictures and their times of arrival (s, steady clock) by topic and stamp (ns), and the last diagnostics."""

    pictures: dict[str, dict[int, np.ndarray]] = field(default_factory=lambda: {name: {} for name in TOPICS})
    arrivals_s: dict[str, dict[int, float]] = field(default_factory=lambda: {name: {} for name in TOPICS})
    diagnostics: dict[str, str] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Label images a second."""
        arrivals = list(self.arrivals_s["labels"].values())
        return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) if len(arrivals) > 1 else 0.0

    @property
    def delays_ms(self) -> list[float]:
        """How much later than the ground truth of the same stamp each label image came.

        Street and ground truth are published together, so this is what the node and two passages over DDS take; for
        events the length of the window comes on top. (The stamps' age would also hold a street that renders slowly.)
        """
        labels, truth = self.arrivals_s["labels"], self.arrivals_s["truth"]
        return [1e3 * (labels[stamp] - truth[stamp]) for stamp in labels if stamp in truth]


class Recorder:
    """Subscribes to the node's topics and the street's ground truth in a thread of its own; use as a context
    manager."""

    def __init__(self) -> None:
        self.recording = Recording()
        self.node_is_ready = threading.Event()
        self.truth_arrives = threading.Event()

    def __enter__(self) -> Recorder:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        node = rclpy.create_node("demo_recorder", context=self._context)
        for name, topic in TOPICS.items():
            qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
            node.create_subscription(Image, topic, lambda image, name=name: self._keep(name, image), qos)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(String, "/segmentation/label_names", lambda _: self.node_is_ready.set(), latched)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 10)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        rclpy.try_shutdown(context=self._context)
        self._thread.join(timeout=5)

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):  # the end of the recording
            self._executor.spin()

    def _keep(self, name: str, image: Image) -> None:
        stamp_ns = image.header.stamp.sec * 1_000_000_000 + image.header.stamp.nanosec
        kept = self.recording.pictures[name]
        kept[stamp_ns] = image_to_array(image).copy()
        if len(kept) > _KEPT:
            del kept[next(iter(kept))]
        self.recording.arrivals_s[name][stamp_ns] = time.monotonic()
        if name == "truth":
            self.truth_arrives.set()

    def _diagnose(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.recording.diagnostics.update({value.key: value.value for value in status.values})
