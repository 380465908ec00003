"""Intervals: against their definition, and the pairing that makes a comparison sharp."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.errors import InvalidInputError
from madm_core.evaluation.bootstrap import class_ious, mean_iou_interval, mean_ious, paired_difference
from madm_core.evaluation.metrics import scores


def matrices(seed: int, frames: int = 40, right: float = 0.6, classes: int = 3) -> np.ndarray:
    """Frames of 100 pixels a class whose difficulty varies a lot."""
    rng = np.random.default_rng(seed)
    found = np.zeros((frames, classes, classes + 1), np.int32)
    for frame in found:
        for row in range(classes):
            hits = rng.binomial(100, np.clip(right + rng.normal(0, 0.2), 0.05, 0.95))
            frame[row, row] += hits
            frame[row, (row + 1) % classes] += 100 - hits
    return found


def test_many_matrices_at_once_are_scored_as_one_by_one():
    found = matrices(0)
    found[3, 1] = 0  # a frame without class 1
    found[4] = 0  # and one without any ground truth
    assert np.isnan(mean_ious(found)[4])
    for index, matrix in enumerate(found):
        np.testing.assert_allclose(mean_ious(found)[index], scores(matrix).mean_iou)
        np.testing.assert_allclose(class_ious(found)[index], scores(matrix).iou)


def test_interval_is_that_of_resampled_data_sets():
    found = matrices(1, frames=30)
    rng = np.random.default_rng(7)
    values = [scores(found[rng.integers(0, 30, 30)].sum(axis=0)).mean_iou for _ in range(500)]
    low, high = mean_iou_interval(found, resamples=500, seed=7)
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_recordings_that_differ_widen_the_interval_over_recordings():
    easy, hard = matrices(2, right=0.85), matrices(3, right=0.35)
    found = np.concatenate([easy, hard])
    sequences = np.repeat([0, 1], 40)
    frames, recordings = mean_iou_interval(found), mean_iou_interval(found, sequences=sequences)
    # One resample of two recordings in four draws the same one twice.
    assert recordings == pytest.approx([float(mean_ious(part.sum(0)[None])[0]) for part in (hard, easy)])
    assert recordings.high - recordings.low > 2 * (frames.high - frames.low)


def test_a_small_gain_on_the_same_frames_is_seen_although_the_intervals_overlap():
    before = matrices(4)
    after = before.copy()
    for frame in after:  # three more right pixels of class 0 in every frame
        moved = np.minimum(3, frame[0, 1])
        frame[0, 1] -= moved
        frame[0, 0] += moved
    apart, classes, (first, second) = paired_difference(before, after)
    assert apart.value == pytest.approx(second - first) and 0 < apart.interval.low < apart.value < apart.interval.high
    assert apart.share_above_zero == 1.0 and classes[0].interval.low > 0
    assert mean_iou_interval(before).high > mean_iou_interval(after).low, "unpaired they cannot be told apart"
    same = paired_difference(before, before)[0]
    assert same.value == 0 and same.interval == (0, 0)
    reverse = paired_difference(after, before)[0]
    assert reverse.interval == pytest.approx((-apart.interval.high, -apart.interval.low))


def test_a_class_that_is_not_there_has_no_difference():
    found = matrices(5, frames=5)
    found[:, 2] = 0
    _, classes, _ = paired_difference(found, found)
    assert np.isnan(classes[2].value) and np.isnan(classes[2].interval.low) and not np.isnan(classes[0].value)


@pytest.mark.parametrize("other", [matrices(0, frames=4), matrices(0, classes=4), matrices(0)[:0]])
def test_other_frames_cannot_be_compared(other):
    with pytest.raises(InvalidInputError, match="the same frames and classes"):
        paired_difference(other[:0] if len(other) == 0 else matrices(0), other)
