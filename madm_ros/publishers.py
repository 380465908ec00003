"""All topics that the node publishes: labels for robots, pictures for people, names for both."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from madm_core.labels import IGNORE, LabelSet
from madm_core.legend import legend_image
from madm_core.pictures import overlay_image, to_uint8
from madm_ros.image_conversion import array_to_message
from madm_ros.preview.composition import PreviewFrame
from madm_ros.qos import DIAGNOSTICS, LATCHED, RESULTS, describe

VISION_MSGS_PACKAGE = "ros-{distribution}-vision-msgs"


@dataclass(frozen=True)
class Topic:
    """A topic of the node: name relative to its namespace, message type, QoS and what it carries."""

    name: str
    type_name: str
    qos: QoSProfile
    meaning: str


LABELS = Topic(
    "segmentation/labels", "sensor_msgs/msg/Image", RESULTS,
    "mono8 class ids at the input's resolution, the input's header untouched, step == width, 255 = no label",
)  # fmt: skip
CONFIDENCE = Topic(
    "segmentation/confidence", "sensor_msgs/msg/Image", RESULTS, "mono8, 0..255 for confidence 0..1, same header"
)
OVERLAY = Topic(
    "segmentation/overlay",
    "sensor_msgs/msg/Image",
    RESULTS,
    "rgb8 input with class colours; made only while somebody listens",
)
INPUT_PREVIEW = Topic(
    "segmentation/input_preview", "sensor_msgs/msg/Image", RESULTS,
    "rgb8, what the network saw; made only while somebody listens",
)  # fmt: skip
LEGEND = Topic(
    "segmentation/legend",
    "sensor_msgs/msg/Image",
    LATCHED,
    "rgb8 picture of ids, colours and names; made once somebody listens",
)
LABEL_INFO = Topic(
    "segmentation/label_info",
    "vision_msgs/msg/LabelInfo",
    LATCHED,
    "ids and names; there when vision_msgs is installed",
)
LABEL_NAMES = Topic(
    "segmentation/label_names", "std_msgs/msg/String", LATCHED, "the same and the colours as JSON; always there"
)
DIAGNOSTICS_TOPIC = Topic(
    "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", DIAGNOSTICS,
    "rates, drops, rejections, times of each stage, stamp age, device, input statistics",
)  # fmt: skip
TOPICS = (LABELS, CONFIDENCE, OVERLAY, INPUT_PREVIEW, LEGEND, LABEL_INFO, LABEL_NAMES, DIAGNOSTICS_TOPIC)


class ResultPublishers:
    """The publishers of one node.

    Args:
        node: The node that owns them.
        info: Writes a line to the log.
        show: Takes every frame's pictures by reference, for the preview page; None for no page.
    """

    def __init__(
        self,
        node: Node,
        info: Callable[[str], object],
        show: Callable[[PreviewFrame], object] | None = None,
    ) -> None:
        self._node = node
        self._show = show
        self._label_set: LabelSet | None = None
        self._legend_due = False
        self._labels = node.create_publisher(Image, LABELS.name, LABELS.qos)
        self._confidence = node.create_publisher(Image, CONFIDENCE.name, CONFIDENCE.qos)
        self._overlay = node.create_publisher(Image, OVERLAY.name, OVERLAY.qos)
        self._input_preview = node.create_publisher(Image, INPUT_PREVIEW.name, INPUT_PREVIEW.qos)
        self._legend = node.create_publisher(Image, LEGEND.name, LEGEND.qos)
        self._label_names = node.create_publisher(String, LABEL_NAMES.name, LABEL_NAMES.qos)
        self._label_info_type = _import_label_info()
        self._label_info: Publisher | None = None
        if self._label_info_type is not None:
            self._label_info = node.create_publisher(self._label_info_type, LABEL_INFO.name, LABEL_INFO.qos)
        else:
            package = VISION_MSGS_PACKAGE.format(distribution=os.environ.get("ROS_DISTRO", "jazzy"))
            info(
                f"vision_msgs is not installed: {LABEL_INFO.name} is not published, {LABEL_NAMES.name} (JSON) is. "
                f"For nav2's semantic layer: apt install {package}"
            )

    def announce(self, label_set: LabelSet, min_confidence: float) -> None:
        """Latch the names and colours of a (new) model's classes."""
        self._label_set = label_set
        self._legend_due = True
        classes = [
            {"id": class_id, "name": name, "color": list(color)}
            for class_id, name, color in zip(label_set.ids, label_set.names, label_set.colors, strict=True)
        ]
        text = json.dumps({"label_set": label_set.name, "ignore": IGNORE, "classes": classes})
        self._label_names.publish(String(data=text))
        self.announce_threshold(min_confidence)
        self.tend_legend()

    def announce_threshold(self, min_confidence: float) -> None:
        """Latch the label info, which carries the confidence below which pixels have no label."""
        if self._label_info is not None and self._label_set is not None:
            self._label_info.publish(self._label_info_message(self._label_set, min_confidence))

    def tend_legend(self) -> None:
        """Latch the legend once somebody listens; called now and then."""
        if self._legend_due and self._label_set is not None and self._legend.get_subscription_count() > 0:
            self._legend_due = False
            header = Header(stamp=self._node.get_clock().now().to_msg())
            self._legend.publish(array_to_message(legend_image(self._label_set), "rgb8", header))

    def publish(
        self,
        header: Header,
        labels: np.ndarray,
        confidence: np.ndarray,
        image: np.ndarray,
        *,
        overlay_opacity: float,
        min_confidence: float,
    ) -> None:
        """Publish one frame's results.

        Args:
            header: The input message's header, passed on untouched.
            labels: ``(H, W)`` uint8.
            confidence: ``(H, W)`` float32 in [0, 1].
            image: ``(H, W, 3)`` float32 in [0, 1], what the network saw.
            overlay_opacity: Weight of the class colours in the overlay, 0..1.
            min_confidence: Pixels below it become 255.
        """
        if min_confidence > 0.0:
            labels = np.where(confidence < min_confidence, np.uint8(IGNORE), labels)
        self._labels.publish(array_to_message(labels, "mono8", header))
        self._confidence.publish(array_to_message(to_uint8(confidence), "mono8", header))
        overlay_wanted = self._overlay.get_subscription_count() > 0
        preview_wanted = self._input_preview.get_subscription_count() > 0
        if overlay_wanted or preview_wanted:
            seen = to_uint8(image)
            if preview_wanted:
                self._input_preview.publish(array_to_message(seen, "rgb8", header))
            if overlay_wanted and self._label_set is not None:
                painted = overlay_image(seen, labels, self._label_set, overlay_opacity)
                self._overlay.publish(array_to_message(painted, "rgb8", header))
        if self._show is not None and self._label_set is not None:
            self._show(PreviewFrame(image, labels, confidence, self._label_set, overlay_opacity))

    def destroy(self) -> None:
        """Take all topics back."""
        for publisher in (
            self._labels,
            self._confidence,
            self._overlay,
            self._input_preview,
            self._legend,
            self._label_names,
        ):
            self._node.destroy_publisher(publisher)
        if self._label_info is not None:
            self._node.destroy_publisher(self._label_info)

    def _label_info_message(self, label_set: LabelSet, min_confidence: float) -> Any:
        from vision_msgs.msg import VisionClass

        message = self._label_info_type()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.class_map = [
            VisionClass(class_id=class_id, class_name=name)
            for class_id, name in zip(label_set.ids, label_set.names, strict=True)
        ]
        message.threshold = float(min_confidence)
        return message


def topics_table() -> str:
    """All published topics as a Markdown table for the documentation."""
    lines = ["| topic | type | QoS | content |", "|---|---|---|---|"]
    lines += [f"| `{topic.name}` | `{topic.type_name}` | {describe(topic.qos)} | {topic.meaning} |" for topic in TOPICS]
    return "\n".join(lines) + "\n"


def _import_label_info() -> Any:
    try:
        from vision_msgs.msg import LabelInfo
    except ImportError:
        return None
    return LabelInfo
