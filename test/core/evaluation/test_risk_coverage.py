"""Risk and coverage: counted by hand, and against sorting all pixels."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.evaluation.risk_coverage import RiskCoverage


def test_counted_by_hand():
    collected = RiskCoverage(10)
    confidence = np.array([[0.95, 0.85, 0.85, 0.15]], np.float32)
    collected.update(confidence, np.array([[1, 1, 1, 1]], np.uint8), np.array([[1, 1, 0, 0]], np.uint8))
    coverage, risk = collected.curve()
    np.testing.assert_allclose(coverage, [0.25, 0.75, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 3, 0.5])
    assert collected.area == pytest.approx(0.25 * 0 + 0.5 / 3 + 0.25 * 0.5)


def test_agrees_with_sorting_the_pixels():
    rng = np.random.default_rng(0)
    confidence = rng.random((80, 100)).astype(np.float32)
    truth = rng.integers(0, 3, (80, 100)).astype(np.uint8)
    predicted = np.where(rng.random((80, 100)) < confidence, truth, (truth + 1) % 3).astype(np.uint8)
    parts = [RiskCoverage(), RiskCoverage()]
    for part, rows in zip(parts, (slice(0, 30), slice(30, 80)), strict=True):
        part.update(confidence[rows], predicted[rows], truth[rows])
    parts[0].absorb(parts[1])
    wrong = (predicted != truth).ravel()[np.argsort(-confidence.ravel(), kind="stable")]
    risks = np.cumsum(wrong) / np.arange(1, wrong.size + 1)
    assert parts[0].area == pytest.approx(float(risks.mean()), abs=1e-3)
    points = {point["coverage"]: point["risk"] for point in parts[0].to_dict()["points"]}
    assert points[1.0] == pytest.approx(wrong.mean()) and points[0.5] == pytest.approx(risks[4000], abs=2e-3)
    assert points[0.1] < points[0.5] < points[1.0]


def test_pixels_without_truth_or_prediction_do_not_count():
    collected = RiskCoverage()
    collected.update(np.ones((1, 2), np.float32), np.array([[255, 0]], np.uint8), np.array([[0, 255]], np.uint8))
    assert np.isnan(collected.area) and collected.to_dict() == {"area": None, "points": []}
