"""Boundary IoU: how well outlines are hit, whatever the size of the things inside them.

Source: Cheng, Girshick, Dollar, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation", CVPR 2021: the IoU of the strips of width d along the inner side of both outlines, here for every class of
semantic labels and summed over the data set.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from madm_core.labels import IGNORE, Labels

Counts = npt.NDArray[np.int64]


def strip_width(size: tuple[int, int], share: float = 0.02) -> int:
    """Width d in pixels for images of (height, width): a share of the diagonal (the paper's 2 %), at least 1."""
    return max(1, round(share * float(np.hypot(*size))))


def boundary_counts(predicted: Labels, truth: Labels, classes: int, width: int) -> Counts:
    """Pixels in the intersection and in the union of both strips.

    Args:
        predicted: (H, W) uint8 ids, 255 for nothing predicted.
        truth: (H, W) uint8 ids; where it is 255 nothing counts, and both labels are taken to end there.
        classes: Number of classes K.
        width: Of the strips, in pixels.

    Returns:
        (K, 2) int64: intersection, union.
    """
    counts = np.zeros((classes, 2), np.int64)
    masked = np.where(truth == IGNORE, np.uint8(IGNORE), predicted)
    for class_id in range(classes):
        strips = [_strip(labels == class_id, width) for labels in (masked, truth)]
        counts[class_id] = np.count_nonzero(strips[0] & strips[1]), np.count_nonzero(strips[0] | strips[1])
    return counts


def boundary_iou(counts: Counts, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(K,) boundary IoU of each class from summed counts; NaN where it is not ``present`` in the ground truth."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(present, counts[:, 0] / counts[:, 1], np.nan)


def _strip(mask: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """The pixels of a mask that lie within ``width`` of its outside; the picture's border counts as outside."""
    if not mask.any():
        return mask
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    strip: npt.NDArray[np.bool_] = mask & (inner == 0)
    return strip
