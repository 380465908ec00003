"""Scores against torchmetrics, against the reference's own numbers, and against cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from madm_core.errors import InvalidInputError
from madm_core.evaluation.bootstrap import mean_iou_interval
from madm_core.evaluation.metrics import confusion_matrix, scores
from madm_core.labels import MADM11


def random_labels(seed: int, shape=(4, 32, 40), classes: int = 11) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, shape).astype(np.uint8)
    predicted = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, classes, shape)).astype(np.uint8)
    truth[rng.random(shape) < 0.1] = 255
    return predicted, truth


def test_rows_are_the_truth_and_the_last_column_is_nothing_predicted():
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    predicted = np.array([[0, 1, 255, 0]], np.uint8)
    np.testing.assert_array_equal(confusion_matrix(predicted, truth, 2), [[1, 1, 0], [0, 0, 1]])


def test_agrees_with_torchmetrics():
    predicted, truth = random_labels(0)
    metric = MulticlassJaccardIndex(11, average="none", ignore_index=255)
    expected = metric(torch.from_numpy(predicted.astype(int)), torch.from_numpy(truth.astype(int)))
    found = scores(sum(confusion_matrix(p, t, 11) for p, t in zip(predicted, truth, strict=True)))
    np.testing.assert_allclose(found.iou, expected.numpy(), rtol=1e-6)
    assert found.mean_iou == pytest.approx(float(expected.mean()), rel=1e-6)


def test_agrees_with_the_reference_evaluator(golden):
    recorded = np.load(golden / "evaluator.npz")
    expected = dict(zip(recorded["keys"].tolist(), recorded["values"].tolist(), strict=True))
    pairs = zip(recorded["pred"], recorded["gt"], strict=True)
    matrix = sum(confusion_matrix(predicted, truth, 11) for predicted, truth in pairs)
    # The reference keeps predictions in rows, and what is to be ignored in a last column that it then leaves out.
    np.testing.assert_array_equal(matrix[:, :11].T, recorded["conf_matrix"][:11, :11])
    found = scores(matrix)
    for index, name in enumerate(MADM11.names):
        np.testing.assert_allclose(100 * found.iou[index], expected[f"IoU-{name}"], rtol=1e-9)
        np.testing.assert_allclose(100 * found.accuracy[index], expected[f"ACC-{name}"], rtol=1e-9)
    assert 100 * found.mean_iou_reference == pytest.approx(expected["mIoU"], rel=1e-9)
    assert 100 * found.mean_accuracy == pytest.approx(expected["mACC"], rel=1e-9)
    assert 100 * found.pixel_accuracy == pytest.approx(expected["pACC"], rel=1e-9)
    assert 100 * found.frequency_weighted_iou == pytest.approx(expected["fwIoU"], rel=1e-9)
    assert found.mean_iou > found.mean_iou_reference, "classes that are only predicted count in the reference's mean"


def test_predicting_nothing_is_a_miss():
    truth = np.zeros((1, 4), np.uint8)
    found = scores(confusion_matrix(np.array([[0, 0, 0, 255]], np.uint8), truth, 2))
    assert found.iou[0] == 0.75 and found.pixel_accuracy == 0.75 and found.predicted_share == 0.75
    assert np.isnan(found.iou[1]) and found.mean_iou == 0.75


def test_a_class_only_predicted_is_not_in_the_mean_but_in_the_references():
    truth = np.zeros((1, 4), np.uint8)
    found = scores(confusion_matrix(np.array([[0, 0, 1, 1]], np.uint8), truth, 3))
    assert found.mean_iou == 0.5 and found.mean_iou_reference == 0.25


def test_one_predicted_pixel_counts_a_class_in_the_references_mean():
    found = scores(confusion_matrix(np.array([[0, 0, 0, 1]], np.uint8), np.zeros((1, 4), np.uint8), 3))
    assert (found.mean_iou, found.mean_iou_reference) == pytest.approx((0.75, 0.375))


def test_scores_as_json():
    truth = np.array([[0, 0, 0, 1, 255]], np.uint8)
    found = scores(confusion_matrix(np.array([[0, 0, 1, 1, 0]], np.uint8), truth, 11)).to_dict(MADM11)
    classes = found.pop("classes")
    assert found == {
        "mean_iou": pytest.approx((2 / 3 + 1 / 2) / 2),
        "mean_iou_reference": pytest.approx((2 / 3 + 1 / 2) / 2),
        "mean_accuracy": pytest.approx((2 / 3 + 1) / 2),
        "frequency_weighted_iou": pytest.approx((3 * 2 / 3 + 1 / 2) / 4),
        "pixel_accuracy": 0.75,
        "predicted_share": 1.0,
    }
    assert list(classes) == list(MADM11.names)
    assert classes[MADM11.names[0]] == {"iou": pytest.approx(2 / 3), "accuracy": pytest.approx(2 / 3), "pixels": 3}
    assert classes[MADM11.names[2]] == {"iou": None, "accuracy": None, "pixels": 0}
    assert type(classes[MADM11.names[0]]["iou"]) is float


def test_nothing_to_score():
    found = scores(confusion_matrix(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8), 11))
    assert np.isnan(found.mean_iou) and found.to_dict(MADM11)["mean_iou"] is None
    assert np.isnan(found.iou).all() and np.isnan(found.accuracy).all() and found.iou.shape == (11,)
    assert np.isnan(found.predicted_share) and not found.pixels.any()
    assert all(np.isnan(bound) for bound in mean_iou_interval(np.zeros((0, 11, 12), np.int64)))


@pytest.mark.parametrize(
    ("predicted", "truth", "complaint"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), "one size"),
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8), "uint8"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.int64), "uint8"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 11, np.uint8), "true labels hold ids outside.*got 11"),
        (np.full((2, 2), 30, np.uint8), np.zeros((2, 2), np.uint8), "predicted labels hold ids outside"),
    ],
)
def test_what_cannot_be_compared_is_explained(predicted, truth, complaint):
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        confusion_matrix(predicted, truth, 11)
    assert refused.value.reason == ("ids" if "hold ids" in complaint else "labels")


def test_interval_holds_the_mean_and_narrows_with_more_frames():
    predicted, truth = random_labels(1, (60, 8, 8))
    matrices = np.stack([confusion_matrix(p, t, 11) for p, t in zip(predicted, truth, strict=True)])
    low, high = mean_iou_interval(matrices)
    assert low < scores(matrices.sum(axis=0)).mean_iou < high
    few_low, few_high = mean_iou_interval(matrices[:10])
    assert high - low < few_high - few_low
    assert mean_iou_interval(matrices) == (low, high), "the same seed gives the same interval"


def test_equal_frames_leave_no_doubt():
    predicted, truth = random_labels(2, (1, 20, 20))
    matrix = confusion_matrix(predicted[0], truth[0], 11)
    low, high = mean_iou_interval(np.stack([matrix] * 5))
    assert low == pytest.approx(high) == pytest.approx(scores(matrix).mean_iou)
