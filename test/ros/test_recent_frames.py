"""What is usual of the last seconds' frames."""

from __future__ import annotations

import numpy as np
import pytest

from madm_ros.recent_frames import FrameFacts, RecentFrames, label_facts


def facts(inference_s=0.1, arrival_age_s=0.0, confidence=0.5, top_class=1, top_share=0.4, mean=0.5):
    return FrameFacts(inference_s, arrival_age_s, confidence, top_class, top_share, {"picture_mean": mean})


def test_medians_over_the_last_five_seconds():
    now = [0.0]
    recent = RecentFrames(lambda: now[0])
    assert recent.usual() is None
    for second, inference_s in enumerate((9.0, 9.0, 9.0, 0.1, 0.3, 0.2)):
        now[0] = float(second)
        recent.add(facts(inference_s, mean=inference_s))
    now[0] = 7.5
    assert recent.usual().inference_s == pytest.approx(0.2)
    assert recent.usual().picture == {"picture_mean": pytest.approx(0.2)}
    now[0] = 1000.0
    assert recent.usual().inference_s == 0.2  # a slow sensor: its latest frame still counts


def test_frames_without_a_label_say_nothing_about_labels():
    recent = RecentFrames()
    recent.add(facts(confidence=None, top_class=None, top_share=0.0))
    assert (recent.usual().confidence, recent.usual().top_class) == (None, None)
    recent.add(facts())
    recent.add(facts(confidence=None, top_class=None, top_share=0.0))
    assert (recent.usual().confidence, recent.usual().top_class, recent.usual().top_share) == (0.5, 1, 0.4)


def test_frames_without_a_stamp_say_nothing_about_clocks():
    recent = RecentFrames()
    recent.add(facts(arrival_age_s=None))
    assert recent.usual().arrival_age_s is None
    recent.add(facts(arrival_age_s=-3.0))
    assert recent.usual().arrival_age_s == -3.0


@pytest.mark.parametrize("size", [(4, 8), (480, 640)])
def test_facts_about_labels(size):
    labels = np.full(size, 7, np.uint8)
    confidence = np.full(size, 0.8, np.float32)
    labels[:, : size[1] // 2] = 255
    confidence[:, : size[1] // 2] = 0.0
    labels[: size[0] // 4, size[1] // 2 :] = 3
    mean, top, share = label_facts(labels, confidence)
    assert (mean, top, share) == (pytest.approx(0.8), 7, pytest.approx(0.75, abs=0.02))


def test_nothing_is_known_of_a_picture_without_labels():
    assert label_facts(np.full((5, 5), 255, np.uint8), np.zeros((5, 5), np.float32)) == (None, None, 0.0)
