"""Boundary IoU against a definition that is spelt out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.evaluation.boundaries import boundary_counts, boundary_iou, strip_width


def strip_by_definition(mask: np.ndarray, width: int) -> set[tuple[int, int]]:
    """Pixels of the mask with a pixel outside it, or the picture's border, at most ``width`` rows and columns away."""
    height, columns = mask.shape
    found = set()
    for y, x in np.argwhere(mask):
        for dy in range(-width, width + 1):
            for dx in range(-width, width + 1):
                outside = not (0 <= y + dy < height and 0 <= x + dx < columns)
                if outside or not mask[y + dy, x + dx]:
                    found.add((int(y), int(x)))
    return found


@pytest.mark.parametrize("width", [1, 2, 3])
def test_counts_are_those_of_the_definition(width):
    rng = np.random.default_rng(width)
    coarse = rng.integers(0, 3, (2, 6, 7)).astype(np.uint8)
    predicted, truth = (np.kron(labels, np.ones((4, 4), np.uint8)) for labels in coarse)
    counts = boundary_counts(predicted, truth, 3, width)
    for class_id in range(3):
        found, true = (strip_by_definition(labels == class_id, width) for labels in (predicted, truth))
        assert counts[class_id].tolist() == [len(found & true), len(found | true)]


def test_perfect_labels_score_one_and_absent_classes_nothing():
    truth = np.zeros((20, 20), np.uint8)
    truth[5:12, 5:12] = 1
    scores = boundary_iou(boundary_counts(truth, truth, 3, 2), np.array([True, True, False]))
    assert scores[:2].tolist() == [1.0, 1.0] and np.isnan(scores[2])


def test_a_hit_inside_with_a_missed_outline_scores_low():
    truth = np.zeros((60, 60), np.uint8)
    truth[10:50, 10:50] = 1
    predicted = np.zeros_like(truth)
    predicted[13:47, 13:47] = 1
    counts = boundary_counts(predicted, truth, 2, strip_width((60, 60)))
    assert boundary_iou(counts, np.array([True, True]))[1] == 0.0
    assert np.mean(predicted == truth) > 0.85


def test_where_nothing_is_known_nothing_counts():
    truth = np.full((10, 10), 255, np.uint8)
    assert boundary_counts(np.zeros((10, 10), np.uint8), truth, 2, 1).sum() == 0


def test_width_is_two_percent_of_the_diagonal():
    assert strip_width((300, 400)) == 10 and strip_width((8, 8)) == 1
