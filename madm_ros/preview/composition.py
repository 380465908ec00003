"""What the preview shows of one frame: input, overlay and confidence beside or below each other. No ROS in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.labels import Labels, LabelSet
from madm_core.pictures import Picture, confidence_image, overlay_image, to_uint8

Layout = Literal["row", "column"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

PANEL_WIDTH = 640
"""Wider frames are made smaller before anything is painted: a browser shows three side by side."""

_JPEG_QUALITY = 85
_EMPTY = (240, 320)
"""Height and width of a panel before there is a frame."""


@dataclass(frozen=True)
class PreviewFrame:
    """A segmented frame by reference; making one costs nothing.

    Args:
        image: (H, W, 3) float32 in [0, 1], what the network saw.
        labels: (H, W) uint8 ids, as they were published.
        confidence: (H, W) float32 in [0, 1].
        label_set: Names, and the colours to show.
        opacity: Weight of the class colours in the overlay, 0..1.
    """

    image: npt.NDArray[np.float32]
    labels: Labels
    confidence: npt.NDArray[np.float32]
    label_set: LabelSet
    opacity: float


def jpeg_strip(frame: PreviewFrame | None, layout: Layout) -> bytes:
    """Input, overlay and confidence of a frame as one JPEG; three grey fields when there is no frame.

    Args:
        frame: What to show.
        layout: ``row``: from left to right, for wide windows; ``column``: from top to bottom, for phones.
    """
    join = np.hstack if layout == "row" else np.vstack
    strip = join(panels(frame) if frame is not None else [np.full((*_EMPTY, 3), 96, np.uint8)] * 3)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(strip, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV is built with a JPEG encoder"
    return bytes(data)


def panels(frame: PreviewFrame) -> list[Picture]:
    """Input, overlay and confidence: (h, w, 3) uint8 RGB each, at most :data:`PANEL_WIDTH` wide."""
    image, labels, confidence = frame.image, frame.labels, frame.confidence
    height, width = labels.shape
    if width > PANEL_WIDTH:
        size = (PANEL_WIDTH, max(1, round(height * PANEL_WIDTH / width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
        labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        confidence = np.asarray(cv2.resize(confidence, size, interpolation=cv2.INTER_AREA), np.float32)
    seen = to_uint8(image)
    return [
        seen,
        overlay_image(seen, labels, frame.label_set, frame.opacity),
        confidence_image(to_uint8(confidence), labels),
    ]


def class_shares(labels: Labels) -> list[float]:
    """Part of the pixels that each id 0..255 has."""
    shares: list[float] = (np.bincount(labels.ravel(), minlength=256) / max(labels.size, 1)).tolist()
    return shares
