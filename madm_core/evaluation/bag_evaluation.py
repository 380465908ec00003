"""Scores a model on frames and collects everything that a report needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.bag_frames import Frame, MatchCounts
from madm_core.evaluation.boundaries import Counts, boundary_counts, boundary_iou, strip_width
from madm_core.evaluation.calibration import Calibration
from madm_core.evaluation.metrics import Matrix, confusion_matrix, mean_iou_interval, scores
from madm_core.labels import IGNORE, Labels, LabelSet
from madm_core.segmenter import Prediction, Segmenter

Protocol = Literal["paper", "native"]

PROTOCOLS: dict[Protocol, str] = {
    "native": "predictions at the sensor's size against labels of that size",
    "paper": "predictions at the network's size against labels resized to it by nearest neighbour (MADM: 512x512)",
}


@dataclass
class FrameResult:
    """One scored frame: its stamp, confusion matrix and boundary counts a protocol, and the milliseconds it took."""

    stamp_ns: int
    matrices: dict[Protocol, Matrix]
    boundaries: dict[Protocol, Counts]
    milliseconds: float


@dataclass
class Evaluation:
    """All scored frames of a run.

    Args:
        label_set: The classes.
        protocols: What was scored.
        network_size: (height, width) of the network's images, the size of the ``paper`` protocol.
    """

    label_set: LabelSet
    protocols: tuple[Protocol, ...]
    network_size: tuple[int, int]
    frames: list[FrameResult] = field(default_factory=list)
    calibration: Calibration = field(default_factory=Calibration)
    interrupted: bool = False

    def matrices(self, protocol: Protocol) -> Matrix:
        """(N, K, K + 1) one confusion matrix a frame."""
        classes = len(self.label_set)
        found = [frame.matrices[protocol] for frame in self.frames]
        return np.stack(found) if found else np.zeros((0, classes, classes + 1), np.int64)

    def _boundary_iou(self, protocol: Protocol, total: Matrix) -> dict[str, float | None]:
        """Boundary IoU of each class, and their mean under ``"mean"``."""
        present = total.sum(axis=1) > 0
        counts = sum((frame.boundaries[protocol] for frame in self.frames), np.zeros((len(present), 2), np.int64))
        values = boundary_iou(counts, present)
        mean = float(np.nanmean(values)) if present.any() else None
        classes = {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(self.label_set.names, values, strict=True)
        }
        return {"mean": mean, **classes}

    def to_dict(self, counts: MatchCounts) -> dict[str, Any]:
        """The measured part of ``metrics.json``."""
        times = np.array([frame.milliseconds for frame in self.frames])
        results = {}
        for protocol in self.protocols:
            matrices = self.matrices(protocol)
            low, high = mean_iou_interval(matrices)
            size = "x".join(map(str, self.network_size)) if protocol == "paper" else "of the sensor"
            total = matrices.sum(axis=0)
            measured = total.copy()
            measured[:, -1] = 0  # as if pixels without a prediction had no ground truth
            results[protocol] = {
                "meaning": PROTOCOLS[protocol],
                "size": size,
                **scores(total).to_dict(self.label_set),
                "boundary_iou": self._boundary_iou(protocol, total),
                "mean_iou_where_predicted": scores(measured).to_dict(self.label_set)["mean_iou"],
                "mean_iou_interval_95": None if np.isnan(low) else [low, high],
                "confusion_matrix": total.tolist(),
            }
        return {
            "label_set": self.label_set.to_dict(),
            "frames": {
                "scored": len(self.frames),
                "without_labels": counts.unlabelled,
                "labels_without_frame": counts.unmatched_labels,
                "out_of_order": counts.out_of_order,
                "unusable": counts.unusable,
            },
            "interrupted": self.interrupted,
            "latency_ms": _percentiles(times),
            "calibration": self.calibration.to_dict() if "native" in self.protocols else None,
            "protocols": results,
        }


def evaluate(
    segmenter: Segmenter, frames: Iterator[Frame], counts: MatchCounts, protocols: tuple[Protocol, ...] = ("native",)
) -> Evaluation:
    """Scores a model on frames, one after another; memory does not grow with the pictures.

    Ctrl-C ends the evaluation: what was scored until then is returned, marked as interrupted.

    Args:
        segmenter: The model.
        frames: Raw sensor arrays with their ground truth.
        counts: Gets frames whose data the modality refuses.
        protocols: See :data:`PROTOCOLS`.

    Raises:
        DataError: Labels are of another size than the pictures.
    """
    result = Evaluation(segmenter.label_set, protocols, segmenter.image_size)
    try:
        for frame in frames:
            started = time.perf_counter()
            try:
                encoded = segmenter.modality.encode(frame.raw)
            except InvalidInputError as error:
                counts.cannot_use(error)
                continue
            if encoded.image.shape[:2] != frame.truth.shape:
                raise DataError(
                    "labels and pictures differ in size",
                    got=f"labels {frame.truth.shape}, pictures {encoded.image.shape[:2]} at stamp {frame.stamp_ns}",
                    expected="labels at the sensor's size (height, width)",
                )
            predictions: dict[Protocol, Labels] = {}
            native: Prediction | None = None
            if "native" in protocols:
                native = segmenter.segment(encoded)
                predictions["native"] = native.labels
            milliseconds = (time.perf_counter() - started) * 1e3
            if "paper" in protocols:
                predictions["paper"] = _at_network_size(segmenter, encoded.image, encoded.valid)
                if native is None:
                    milliseconds = (time.perf_counter() - started) * 1e3
            classes = len(segmenter.label_set)
            matrices: dict[Protocol, Matrix] = {}
            boundaries: dict[Protocol, Counts] = {}
            for protocol, found in predictions.items():
                truth = _resized(frame.truth, found.shape)
                matrices[protocol] = confusion_matrix(found, truth, classes)
                width = strip_width((truth.shape[0], truth.shape[1]))
                boundaries[protocol] = boundary_counts(found, truth, classes, width)
            if native is not None:
                result.calibration.update(native.confidence, native.labels, frame.truth)
            result.frames.append(FrameResult(frame.stamp_ns, matrices, boundaries, milliseconds))
    except KeyboardInterrupt:
        result.interrupted = True
    return result


def _at_network_size(
    segmenter: Segmenter, image: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_] | None
) -> Labels:
    labels: Labels = segmenter.logits(image).argmax(dim=0).to("cpu").numpy().astype(np.uint8)
    if valid is not None:
        labels[_resized(valid.astype(np.uint8), labels.shape) == 0] = IGNORE
    return labels


def _resized(labels: Labels, size: tuple[int, ...]) -> Labels:
    """Nearest neighbour as Pillow does it, which the paper's protocol uses."""
    if labels.shape == tuple(size):
        return labels
    return np.asarray(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))


def _percentiles(times: npt.NDArray[np.float64]) -> dict[str, float] | None:
    if len(times) == 0:
        return None
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return {"median": float(p50), "p90": float(p90), "p99": float(p99), "mean": float(times.mean())}
