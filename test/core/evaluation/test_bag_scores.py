"""Scores of a recording: both protocols, parts put together, and through a pipe."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from madm_core.evaluation.bag_scores import BagScores, percentiles
from madm_core.evaluation.frame_results import FrameResult
from madm_core.evaluation.metrics import confusion_matrix
from madm_core.labels import LabelSet

LABELS = LabelSet("two", ("road", "sky"), ((1, 2, 3), (4, 5, 6)))


def frames(count: int, seed: int = 0) -> list[FrameResult]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        truth, labels = (rng.integers(0, 2, (8, 8)).astype(np.uint8) for _ in range(2))
        small = rng.integers(0, 2, (4, 4)).astype(np.uint8)
        confidence = rng.random((8, 8)).astype(np.float32)
        image = np.zeros((8, 8, 3), np.float32)
        found.append(FrameResult("bag", 10**9 * number, image, truth, labels, confidence, float(number), small))
    return found


def collected(results: list[FrameResult]) -> BagScores:
    scores = BagScores("bag", LABELS, ("native", "paper"), (4, 4))
    for result in results:
        scores.add(result)
    return scores


def test_each_protocol_has_its_size():
    results = frames(3)
    scores = collected(results)
    native = sum(confusion_matrix(result.labels, result.truth, 2) for result in results)
    np.testing.assert_array_equal(scores.matrix("native"), native)
    assert scores.matrix("native").sum() == 3 * 64 and scores.matrix("paper").sum() == 3 * 16


def test_parts_put_together_equal_the_whole():
    results = frames(150)  # more than the table's first allocation
    whole = collected(results)
    parts = [pickle.loads(pickle.dumps(collected(part))) for part in (results[:40], results[40:])]
    parts[0].absorb(parts[1])
    for protocol in ("native", "paper"):
        np.testing.assert_array_equal(parts[0].frames.matrices(protocol), whole.frames.matrices(protocol))
        np.testing.assert_array_equal(parts[0].boundary_iou(protocol), whole.boundary_iou(protocol))
    np.testing.assert_array_equal(parts[0].frames.stamps_ns, [result.stamp_ns for result in results])
    assert parts[0].calibration.to_dict()["bins"][3]["pixels"] == whole.calibration.to_dict()["bins"][3]["pixels"]
    assert parts[0].risk_coverage.to_dict() == whole.risk_coverage.to_dict()
    assert parts[0].to_dict() == whole.to_dict()


def test_what_was_not_measured_is_left_out_of_the_latency():
    results = [FrameResult(**{**vars(result), "milliseconds": None, "confidence": None}) for result in frames(2)]
    scores = collected(results)
    assert scores.to_dict()["latency_ms"] is None and np.isnan(scores.risk_coverage.area)
    assert percentiles(np.array([1.0, np.nan, 3.0]))["mean"] == pytest.approx(2.0)
