"""Which frames the report shows."""

from __future__ import annotations

import pickle

import cv2
import numpy as np

from madm_core.evaluation.frame_choice import FrameChoice, worst_median_best
from madm_core.evaluation.frame_results import FrameResult


def frame(number: int, right: int, size=(10, 100)) -> FrameResult:
    """``right`` of 100 columns are right."""
    truth = np.zeros(size, np.uint8)
    labels = truth.copy()
    labels[:, right * size[1] // 100 :] = 1
    image = np.full((*size, 3), 0.5, np.float32)
    return FrameResult("bag", number, image, truth, labels, np.ones(size, np.float32), 1.0)


def test_worst_middle_and_best_of_many_frames():
    order = np.random.default_rng(0).permutation(np.arange(1, 101)).tolist()
    choice = FrameChoice(2)
    for number, right in enumerate(order):
        choice.frame(frame(number, right))
    groups = worst_median_best([pickle.loads(pickle.dumps(choice))], 0.505)
    assert [round(100 * chosen.mean_iou) for chosen in groups["worst"]] == [1, 2]
    assert [round(100 * chosen.mean_iou) for chosen in groups["best"]] == [100, 99]
    assert all(abs(chosen.mean_iou - 0.505) < 0.15 for chosen in groups["median"])
    assert len(choice.candidates) <= 20, "memory does not grow with the frames"


def test_few_frames_are_shown_once_each():
    choice = FrameChoice(2)
    for number, right in enumerate((30, 60, 90)):
        choice.frame(frame(number, right))
    groups = worst_median_best([choice], 0.6)
    assert {kind: [chosen.stamp_ns for chosen in found] for kind, found in groups.items()} == {
        "worst": [0], "median": [1], "best": [2],
    }  # fmt: skip
    single = FrameChoice(2)
    single.frame(frame(7, 50))
    assert [len(found) for found in worst_median_best([single], 0.5).values()] == [1, 0, 0]


def test_frames_without_truth_are_not_chosen_and_large_ones_are_shrunk():
    choice = FrameChoice(2)
    blank = frame(0, 50)
    choice.frame(FrameResult(**{**vars(blank), "truth": np.full((10, 100), 255, np.uint8)}))
    assert not choice.candidates
    choice.frame(frame(1, 50, (600, 960)))
    (chosen,) = choice.candidates
    labels = cv2.imdecode(np.frombuffer(chosen.labels, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert labels.shape == (300, 480) and set(np.unique(labels)) == {0, 1}
