"""Predictions as a bag next to the recording, to be played beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter, offered_qos
from madm_core.data.event_topics import EVENT_TYPES, POINT_CLOUD, EventMessageReader
from madm_core.data.message_types import header_stamp_ns, stamp_fields
from madm_core.errors import InvalidInputError
from madm_core.evaluation.frame_results import FrameResult
from madm_core.labels import IGNORE, Labels, LabelSet
from madm_core.messages.image_arrays import array_to_image_fields

IMAGE = "sensor_msgs/msg/Image"
LABELS, CONFIDENCE, LABEL_NAMES = "/segmentation/labels", "/segmentation/confidence", "/segmentation/label_names"


def export_path(bag: str, folder: str = "") -> str:
    """``<name>_predictions`` beside the bag, or in a folder."""
    path = Path(bag)
    name = (path.stem if path.suffix in (".mcap", ".db3") else path.resolve().name) + "_predictions"
    return str((Path(folder) if folder else path.resolve().parent) / name)


class PredictionExport:
    """An observer that writes labels and confidence as the node would publish them.

    Topics: ``/segmentation/labels`` (mono8 class ids, 255 = none), ``/segmentation/confidence`` (mono8, 255 = sure) and
    the latched ``/segmentation/label_names`` (JSON). Header stamps are exactly those of the frames; recording times are
    moved against them by as much as in the original bag, so that both play side by side.

    Args:
        path: Directory of the new bag.
        recording: The bag that is scored, and its sensor topic.
        topic: For the frame id and the recording times.
        label_set: The classes.

    Raises:
        DataError: The directory exists or cannot be written.
    """

    def __init__(self, path: str, recording: str, topic: str, label_set: LabelSet) -> None:
        self._label_set = label_set
        self._origin = _origin(recording, topic)
        self._is_begun = False
        self._bag = BagWriter(path, "mcap", compress=True)
        for name in (LABELS, CONFIDENCE):
            self._bag.add_topic(name, IMAGE, offered_qos(reliable=True, depth=10))
        self._bag.add_topic(
            LABEL_NAMES, "std_msgs/msg/String", offered_qos(reliable=True, depth=1, transient_local=True)
        )

    def frame(self, result: FrameResult) -> None:
        """See :class:`~madm_core.evaluation.frame_results.FrameObserver`."""
        recorded_ns = result.stamp_ns + self._origin.delay_ns
        if not self._is_begun:
            self._is_begun = True
            self._bag.add(LABEL_NAMES, "std_msgs/msg/String", {"data": _names(self._label_set)}, recorded_ns)
        self._add(LABELS, result.labels, result.stamp_ns, recorded_ns)
        if result.confidence is not None:
            # As the node rounds it, so that both can be compared.
            confidence = np.clip(np.rint(result.confidence * 255.0), 0, 255).astype(np.uint8)
            self._add(CONFIDENCE, confidence, result.stamp_ns, recorded_ns)

    def close(self) -> None:
        """Writes the bag's index."""
        self._bag.close()

    def _add(self, topic: str, picture: Labels, stamp_ns: int, recorded_ns: int) -> None:
        header = {"stamp": stamp_fields(stamp_ns), "frame_id": self._origin.frame_id}
        self._bag.add(topic, IMAGE, {"header": header, **array_to_image_fields(picture, "mono8")}, recorded_ns)


class _Origin(NamedTuple):
    frame_id: str
    delay_ns: int


def _origin(recording: str, topic: str) -> _Origin:
    """Of the topic's first readable message: its frame id, and by how much it was recorded after its stamp."""
    with BagReader(recording) as bag:
        kind = bag.require_topic(topic).type
        for message in bag.messages([topic]):
            delay_ns = message.stamp_ns - header_stamp_ns(message.data)
            try:
                if kind in (*EVENT_TYPES, POINT_CLOUD):
                    return _Origin(EventMessageReader(kind).read(message.data).frame_id, delay_ns)
                decoded: Any = bag.decode(message.data, kind)
            except InvalidInputError:
                continue
            return _Origin(str(decoded.header.frame_id), delay_ns)
    return _Origin("", 0)


def _names(label_set: LabelSet) -> str:
    classes = [
        {"id": class_id, "name": name, "color": list(color)}
        for class_id, name, color in zip(label_set.ids, label_set.names, label_set.colors, strict=True)
    ]
    return json.dumps({"label_set": label_set.name, "ignore": IGNORE, "classes": classes})
