"""What the watchdog finds, and that it says so once."""

from __future__ import annotations

import pytest

from madm_core.labels import LabelSet
from madm_core.modalities.input_statistics import InputStatistics
from madm_ros.node_parameters import NodeParameters
from madm_ros.recent_frames import FrameFacts
from madm_ros.watchdog import PacketLoss, Watchdog, judge_frames

LABELS = LabelSet.named("madm11")
PICTURE = {"picture_mean": 0.5, "picture_contrast": 0.2, "valid_share": 1.0}
TRAINED = InputStatistics(9, PICTURE, {"picture_mean": 0.05, "picture_contrast": 0.05, "valid_share": 0.0})
FINE = {
    "inference_s": 0.1,
    "arrival_age_s": 0.05,
    "confidence": 0.8,
    "top_class": 0,
    "top_share": 0.5,
    "picture": PICTURE,
}


@pytest.mark.parametrize(
    ("change", "check", "says"),
    [
        ({}, None, ""),
        ({"inference_s": 1.5}, "slow_inference", "1.50 s a frame; expected 1 s"),
        ({"confidence": 0.2}, "low_confidence", "0.20; expected 0.3"),
        ({"confidence": float("nan")}, "low_confidence", "nan; expected 0.3"),
        ({"top_share": 0.995, "top_class": 1}, "class_collapse", f"99.5% of all pixels are {LABELS.names[1]!r}"),
        ({"top_share": 0.995, "top_class": 200}, "class_collapse", "are 'class 200, which has no name'"),
        ({"arrival_age_s": 60.0}, "clock_skew", "60.0 s behind"),
        ({"arrival_age_s": None}, None, ""),
        ({"arrival_age_s": -11.0}, "clock_skew", "11.0 s ahead of"),
        ({"picture": {**PICTURE, "picture_mean": 0.9}}, "unusual_input", "picture_mean 0.90, 8 spreads from 0.50"),
        ({"picture": {**PICTURE, "valid_share": 0.8}}, "unusual_input", "valid_share 0.80, 10 spreads from 1.00"),
        ({"confidence": None, "top_class": None, "top_share": 0.0}, None, ""),
    ],
)
def test_frames_are_judged_by_the_parameters(change, check, says):
    facts = FrameFacts(**{**FINE, **change})
    found = judge_frames(facts, NodeParameters(), LABELS, TRAINED)
    assert list(found) == ([check] if check else [])
    assert says in found.get(check, "")
    off = NodeParameters(
        max_inference_s=0.0, min_mean_confidence=0.0, max_class_share=0.0, max_clock_skew_s=0.0, max_input_deviation=0.0
    )
    assert judge_frames(facts, off, LABELS, TRAINED) == {}


def test_a_model_that_does_not_say_what_it_was_trained_with_finds_nothing_unusual():
    facts = FrameFacts(**{**FINE, "picture": {**PICTURE, "picture_mean": 1.0}})
    assert judge_frames(facts, NodeParameters(), LABELS, None) == {}


class Log:
    """A watchdog on a clock that the test moves, and what it said."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.lines: list[str] = []
        self.dog = Watchdog(
            lambda kind, text: self.lines.append(f"{kind}, {text}"), self.lines.append, lambda: self.now_s
        )

    def note(self, second: float, *checks: str) -> None:
        self.now_s = second
        self.dog.note(dict.fromkeys(checks, f"bad at {second:g}"), quiet_s=5.0)


def test_beginning_and_end_are_logged_once_each():
    log = Log()
    for second in range(10):
        log.note(second, "stale_input")
    assert log.lines == ["stale_input, stale input: bad at 0"]
    for second in range(10, 40):
        log.note(second)
    assert log.lines == ["stale_input, stale input: bad at 0", "stale input is over; it lasted 9.0 s"]
    log.note(50, "stale_input")
    assert log.lines[2:] == ["stale_input, stale input: bad at 50"]


def test_a_value_that_swings_about_its_limit_is_one_problem():
    log = Log()
    for second in range(100):
        log.note(second, *(["slow_inference"] if second % 3 == 0 else []))
    assert log.lines == ["slow_inference, slow inference: bad at 0"]


def test_a_stopped_node_says_nothing_about_ends():
    log = Log()
    log.note(0, "stale_input", "clock_skew")
    log.dog.forget()
    log.note(100)
    assert log.lines == ["stale_input, stale input: bad at 0", "clock_skew, clock skew: bad at 0"]


def test_the_share_of_lost_packets_is_that_of_the_last_seconds():
    now = [0.0]
    loss = PacketLoss(lambda: now[0])
    assert loss.share(0, 0) == 0.0
    for second in range(1, 60):
        now[0] = float(second)
        lost = 10 if second >= 3 else 0
        share = loss.share(90 * second, lost)
        if second == 3:
            assert share == pytest.approx(10 / 280)
        if second in (2, 20, 59):
            assert share == 0.0
    assert loss.share(5, 5) == 0.5  # another stream, whose counters begin anew
