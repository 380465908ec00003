"""The scores of one recording: everything that stays when its frames are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.data.crops import resize_labels
from madm_core.evaluation.boundaries import boundary_counts, boundary_iou, strip_width
from madm_core.evaluation.calibration import Calibration
from madm_core.evaluation.frame_results import FrameResult, ProtocolName
from madm_core.evaluation.frame_table import FrameTable
from madm_core.evaluation.match_counts import MatchCounts
from madm_core.evaluation.metrics import Matrix, confusion_matrix, scores
from madm_core.evaluation.risk_coverage import RiskCoverage
from madm_core.labels import LabelSet


class BagScores:
    """Collects the scores of a recording, or of a part of a data set, frame by frame.

    Args:
        name: What the report calls it.
        label_set: The classes.
        protocols: What is scored.
        network_size: (height, width) of the network's images, the size of the ``paper`` protocol.

    ``expected`` is about how many frames there are (None: unknown), ``interrupted`` says that not all of them were
    scored, ``counts`` what became of the messages, ``start_ns`` when the recording begins, ``warnings`` what is wrong
    with it. Can be pickled; parts of one recording are joined with :meth:`absorb`.
    """

    def __init__(
        self, name: str, label_set: LabelSet, protocols: Sequence[ProtocolName], network_size: tuple[int, int]
    ) -> None:
        self.name = name
        self.label_set = label_set
        self.protocols = tuple(protocols)
        self.network_size = network_size
        self.frames = FrameTable(len(label_set), self.protocols)
        self.calibration = Calibration()
        self.risk_coverage = RiskCoverage()
        self.counts = MatchCounts()
        self.expected: int | None = None
        self.interrupted = False
        self.start_ns: int | None = None
        self.warnings: list[str] = []

    def add(self, result: FrameResult) -> None:
        """Scores a frame.

        Raises:
            InvalidInputError: Labels of different sizes, or ids outside the label set.
        """
        classes = len(self.label_set)
        matrices, boundaries = {}, {}
        for protocol in self.protocols:
            labels, truth = result.labels, result.truth
            if protocol == "paper" and result.network_labels is not None:
                labels = result.network_labels
                truth = resize_labels(truth, (labels.shape[0], labels.shape[1]))
            matrices[protocol] = confusion_matrix(labels, truth, classes)
            width = strip_width((truth.shape[0], truth.shape[1]))
            boundaries[protocol] = boundary_counts(labels, truth, classes, width)
        if result.confidence is not None:
            self.calibration.update(result.confidence, result.labels, result.truth)
            self.risk_coverage.update(result.confidence, result.labels, result.truth)
        if self.start_ns is None:
            self.start_ns = result.stamp_ns
        self.frames.add(result.stamp_ns, result.milliseconds, matrices, boundaries)

    def absorb(self, other: BagScores) -> None:
        """Adds the frames of another part of the same recording or data set, after one's own."""
        self.frames.extend(other.frames)
        self.calibration.absorb(other.calibration)
        self.risk_coverage.absorb(other.risk_coverage)
        self.counts.absorb(other.counts)
        starts = [start for start in (self.start_ns, other.start_ns) if start is not None]
        self.start_ns = min(starts) if starts else None
        self.expected = None if self.expected is None or other.expected is None else self.expected + other.expected
        self.interrupted |= other.interrupted
        self.warnings.extend(warning for warning in other.warnings if warning not in self.warnings)

    def matrix(self, protocol: ProtocolName) -> Matrix:
        """(K, K + 1) int64 confusion matrix of all frames."""
        total: Matrix = self.frames.matrices(protocol).sum(axis=0, dtype=np.int64)
        return total

    def boundary_iou(self, protocol: ProtocolName) -> npt.NDArray[np.float64]:
        """(K,) boundary IoU of each class; NaN where it is not in the ground truth."""
        counts = self.frames.boundaries(protocol).sum(axis=0, dtype=np.int64)
        return boundary_iou(counts, self.matrix(protocol).sum(axis=1) > 0)

    def to_dict(self) -> dict[str, Any]:
        """The row of this recording in ``metrics.json``."""
        protocols = {}
        for protocol in self.protocols:
            found = scores(self.matrix(protocol)).to_dict(self.label_set)
            protocols[protocol] = {name: found[name] for name in ("mean_iou", "pixel_accuracy", "predicted_share")}
        return {
            "bag": self.name,
            "status": "interrupted" if self.interrupted else "scored",
            "frames": frame_counts(len(self.frames), self.expected, self.counts),
            "latency_ms": percentiles(self.frames.milliseconds),
            "protocols": protocols,
            "warnings": self.warnings,
        }


def frame_counts(scored: int, expected: int | None, counts: MatchCounts) -> dict[str, Any]:
    """What became of the frames, JSON-ready."""
    return {
        "scored": scored,
        "expected": expected,
        "without_labels": counts.unlabelled,
        "labels_without_frame": counts.unmatched_labels,
        "out_of_order": counts.out_of_order,
        "unusable": counts.unusable,
    }


def percentiles(milliseconds: npt.NDArray[Any]) -> dict[str, float] | None:
    """Median, 90th and 99th percentile, mean and maximum of what was measured; None for nothing."""
    times = milliseconds[~np.isnan(milliseconds)].astype(np.float64)
    if len(times) == 0:
        return None
    p50, p90, p99 = (float(value) for value in np.percentile(times, [50, 90, 99]))
    return {"median": p50, "p90": p90, "p99": p99, "mean": float(times.mean()), "max": float(times.max())}
