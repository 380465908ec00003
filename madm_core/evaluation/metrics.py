"""Scores of label images, all from one confusion matrix of the whole data set (never a mean over images).

What counts: pixels whose ground truth is 255 are left out; a prediction of 255 on a pixel with a ground truth (the
sensor measured nothing there) counts as a miss of that class and as a hit of none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from madm_core.errors import InvalidInputError
from madm_core.labels import IGNORE, Labels, LabelSet

Matrix = npt.NDArray[np.int64]


def confusion_matrix(predicted: Labels, truth: Labels, classes: int) -> Matrix:
    """Counts pixels by true and predicted class.

    Args:
        predicted: (H, W) uint8 ids ``0 .. classes - 1``, or 255 for "nothing predicted".
        truth: (H, W) uint8 ids ``0 .. classes - 1``, or 255 for pixels that do not count.
        classes: Number of classes K.

    Returns:
        (K, K + 1) int64: row = true class, column = predicted class, the last column = nothing predicted.

    Raises:
        InvalidInputError: The images differ in size, are not uint8, or hold ids outside the classes.
    """
    if predicted.shape != truth.shape or predicted.dtype != np.uint8 or truth.dtype != np.uint8:
        raise InvalidInputError(
            "labels cannot be compared",
            reason="labels",
            got=f"predicted {predicted.dtype} {predicted.shape}, truth {truth.dtype} {truth.shape}",
            expected="two uint8 images of one size",
        )
    for name, labels in (("predicted labels", predicted), ("true labels", truth)):
        foreign = np.setdiff1d(np.unique(labels), [*range(classes), IGNORE])
        if foreign.size:
            raise InvalidInputError(
                f"{name} hold ids outside the label set",
                reason="ids",
                got=", ".join(str(int(class_id)) for class_id in foreign[:10]),
                expected=f"0 to {classes - 1}, or {IGNORE}",
                do="map them to the label set's ids",
            )
    # Torchmetrics knows one ignored id, for the truth; "nothing predicted" becomes a class of its own that never is
    # true.
    guesses = torch.from_numpy(np.where(predicted == IGNORE, np.uint8(classes), predicted).astype(np.int64))
    facts = torch.from_numpy(truth.astype(np.int64))
    matrix = multiclass_confusion_matrix(guesses, facts, classes + 1, ignore_index=IGNORE, validate_args=False)
    counts: Matrix = matrix.numpy().astype(np.int64)
    return counts[:classes]


def plain(value: float) -> float | None:
    """A score for JSON, which has no NaN: what is not defined becomes None."""
    return None if math.isnan(value) else float(value)


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says, in shares of 1. NaN means "not defined": the class is not in the ground truth.

    Args:
        iou: (K,) intersection over union of each class.
        accuracy: (K,) share of each class' pixels that were found (recall).
        mean_iou: Mean of ``iou`` over the classes present in the ground truth.
        mean_iou_reference: The MADM authors' variant: sum of the same IoU over the number of classes present in the
            ground truth *or predicted*, so that a class that is only ever predicted wrongly lowers it.
        mean_accuracy: Mean of ``accuracy`` over the classes present in the ground truth.
        frequency_weighted_iou: Mean of ``iou`` weighted by the classes' pixels in the ground truth.
        pixel_accuracy: Share of the pixels with a ground truth that are right.
        predicted_share: Share of the pixels with a ground truth for which any class was predicted.
        pixels: (K,) int64 ground-truth pixels of each class.
    """

    iou: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    mean_iou: float
    mean_iou_reference: float
    mean_accuracy: float
    frequency_weighted_iou: float
    pixel_accuracy: float
    predicted_share: float
    pixels: Matrix

    def to_dict(self, label_set: LabelSet) -> dict[str, Any]:
        """JSON-ready; what is not defined becomes None."""
        return {
            "mean_iou": plain(self.mean_iou),
            "mean_iou_reference": plain(self.mean_iou_reference),
            "mean_accuracy": plain(self.mean_accuracy),
            "frequency_weighted_iou": plain(self.frequency_weighted_iou),
            "pixel_accuracy": plain(self.pixel_accuracy),
            "predicted_share": plain(self.predicted_share),
            "classes": {
                name: {"iou": plain(iou), "accuracy": plain(accuracy), "pixels": int(pixels)}
                for name, iou, accuracy, pixels in zip(
                    label_set.names, self.iou, self.accuracy, self.pixels, strict=True
                )
            },
        }


def scores(matrix: Matrix) -> Scores:
    """Scores of a (K, K + 1) matrix of :func:`confusion_matrix`, or of a sum of such matrices."""
    classes = matrix.shape[0]
    truth = matrix.sum(axis=1)
    predicted = matrix[:, :classes].sum(axis=0)
    hits = np.diagonal(matrix)
    present = truth > 0
    total = int(truth.sum())
    if total == 0:
        nothing = np.full(classes, np.nan)
        return Scores(nothing, nothing, *(float("nan"),) * 6, truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        iou = np.where(present, hits / (truth + predicted - hits), np.nan)
        accuracy = np.where(present, hits / truth, np.nan)
    return Scores(
        iou=iou,
        accuracy=accuracy,
        mean_iou=float(iou[present].mean()),
        mean_iou_reference=float(iou[present].sum() / np.count_nonzero(present | (predicted > 0))),
        mean_accuracy=float(accuracy[present].mean()),
        frequency_weighted_iou=float((iou[present] * truth[present]).sum() / total),
        pixel_accuracy=float(hits.sum() / total),
        predicted_share=float(predicted.sum() / total),
        pixels=truth,
    )
