"""Pictures for people of what a network saw and said: the input, the overlay, the confidence."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.labels import IGNORE, Labels, LabelSet

Picture = npt.NDArray[np.uint8]


def to_uint8(values: npt.NDArray[np.float32]) -> Picture:
    """float32 in [0, 1] -> uint8 0..255, rounded and clipped, shape kept."""
    if values.size and values.min() < 0:  # OpenCV would take the absolute value
        values = np.maximum(values, 0)
    scaled: Any = cv2.convertScaleAbs(values, alpha=255.0)
    return np.asarray(scaled, np.uint8).reshape(values.shape)


def overlay_image(image: Picture, labels: Labels, label_set: LabelSet, opacity: float) -> Picture:
    """The input under its class colours.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        labels: ``(H, W)`` uint8; pixels without a class (255) keep the input.
        label_set: Gives the colours.
        opacity: Weight of the colours, 0..1.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    blended = np.asarray(cv2.addWeighted(label_set.colorize(labels), opacity, image, 1.0 - opacity, 0.0), np.uint8)
    unlabelled = labels == IGNORE
    if unlabelled.any():
        blended[unlabelled] = image[unlabelled]
    return blended


def confidence_image(confidence: Picture, labels: Labels) -> Picture:
    """Confidence from dark blue (none) over green to yellow (sure), a scale that colour-blind people can read.

    Args:
        confidence: ``(H, W)`` uint8, 0..255.
        labels: ``(H, W)`` uint8; pixels without a class (255) are black.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    painted = np.asarray(cv2.cvtColor(cv2.applyColorMap(confidence, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), np.uint8)
    painted[labels == IGNORE] = 0
    return painted
