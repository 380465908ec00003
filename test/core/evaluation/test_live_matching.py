from __future__ import annotations

import numpy as np
import pytest

from madm_core.data.message_types import stamp_fields, standard_types
from madm_core.evaluation.live_matching import LiveAnswers, LiveComparison, LivePrediction
from madm_core.messages.image_arrays import array_to_image_fields
from madm_core.segmenter import Prediction

STAMP = 1_700_000_000_123_456_789


def message(stamp_ns: int, array: np.ndarray) -> bytes:
    fields = array_to_image_fields(array, "mono8")
    fields["data"] = np.frombuffer(fields["data"], np.uint8)
    return standard_types().encode("sensor_msgs/msg/Image", {"header": {"stamp": stamp_fields(stamp_ns)}, **fields})


def test_answers_are_found_by_stamp_and_order(tmp_path):
    first, second = np.full((4, 6), 3, np.uint8), np.full((4, 6), 5, np.uint8)
    with LiveAnswers(tmp_path / "answers") as answers:
        assert answers.add_labels(message(STAMP, first)) == STAMP
        answers.add_labels(message(STAMP + 1, second))
        answers.add_confidence(message(STAMP, np.full((4, 6), 51, np.uint8)))
        assert not answers.complete
        answers.add_labels(message(STAMP, second))  # two windows that one message closed
        assert answers.count == 3
        np.testing.assert_array_equal(answers.prediction(STAMP).labels, first)
        np.testing.assert_array_equal(answers.prediction(STAMP, 1).labels, second)
        assert answers.prediction(STAMP).confidence == pytest.approx(0.2)
        assert answers.prediction(STAMP, 1).confidence is None
        assert answers.has(STAMP, 1) and not answers.has(STAMP, 2) and not answers.has(STAMP + 2)


def test_differences_are_counted_to_the_pixel():
    comparison = LiveComparison()
    assert comparison.verdict == "nothing could be compared" and comparison.to_dict()["equal"] is None
    labels, confidence = np.zeros((4, 6), np.uint8), np.full((4, 6), 0.5, np.float32)
    offline = Prediction(labels, confidence)
    comparison.add(STAMP, LivePrediction(labels.copy(), confidence + np.float32(0.001)), offline)
    assert comparison.equal and comparison.verdict.endswith("0 of 24 pixels differ on 1 frames")
    assert comparison.confidence_difference == pytest.approx(0.001, abs=1e-6)
    other = labels.copy()
    other[1, 2:4] = 7
    comparison.add(STAMP + 5, LivePrediction(other, None), offline)
    comparison.add(STAMP + 9, LivePrediction(labels[:2], None), offline)
    assert not comparison.equal
    assert comparison.to_dict() | {"largest_confidence_difference": 0} == {
        "equal": False, "frames": 3, "different_frames": 2, "pixels": 72, "different_pixels": 26,
        "first_different_ns": STAMP + 5, "largest_confidence_difference": 0,
    }  # fmt: skip
