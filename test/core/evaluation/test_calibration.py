"""Calibration: exact on cases that can be counted, and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from madm_core.evaluation.calibration import Calibration


def test_counted_by_hand():
    calibration = Calibration(10)
    confidence = np.array([[0.95, 0.95, 0.55, 0.55]], np.float32)
    calibration.update(confidence, np.array([[1, 1, 2, 2]], np.uint8), np.array([[1, 0, 2, 2]], np.uint8))
    # Bin 0.9-1: confidence 0.95, half right. Bin 0.5-0.6: confidence 0.55, all right.
    assert calibration.expected_error == pytest.approx(0.5 * 0.45 + 0.5 * 0.45, abs=1e-6)
    assert [(entry["pixels"], entry["accuracy"]) for entry in calibration.to_dict()["bins"]] == [(2, 1.0), (2, 0.5)]


def test_agrees_with_torchmetrics():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0, 1, (50, 60)).astype(np.float32)
    truth = rng.integers(0, 3, (50, 60)).astype(np.uint8)
    predicted = np.where(rng.random((50, 60)) < confidence**2, truth, (truth + 1) % 3).astype(np.uint8)
    calibration = Calibration(15)
    for rows in (slice(0, 20), slice(20, 50)):
        calibration.update(confidence[rows], predicted[rows], truth[rows])
    right = torch.from_numpy((predicted == truth).astype(int).ravel())
    expected = binary_calibration_error(torch.from_numpy(confidence.ravel()), right, n_bins=15)
    assert calibration.expected_error == pytest.approx(float(expected), abs=1e-5)
    assert calibration.expected_error > 0.1


def test_pixels_without_truth_or_prediction_do_not_count():
    calibration = Calibration()
    calibration.update(np.ones((1, 2), np.float32), np.array([[255, 0]], np.uint8), np.array([[0, 255]], np.uint8))
    assert np.isnan(calibration.expected_error)
    assert calibration.to_dict() == {"expected_calibration_error": None, "bins": []}


def test_full_confidence_falls_into_the_last_bin():
    calibration = Calibration(4)
    calibration.update(np.ones((2, 2), np.float32), np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    assert calibration.expected_error == 0.0 and calibration.to_dict()["bins"][0]["pixels"] == 4
