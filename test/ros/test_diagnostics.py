"""Diagnostic messages: fixed keys, the worst level, every problem said."""

from __future__ import annotations

from builtin_interfaces.msg import Time

from madm_ros.diagnostics import (
    ERROR,
    OK,
    STAGES,
    WARN,
    Report,
    diagnostic_array,
    frame_values,
    text_values,
    timing_values,
)
from madm_ros.frame_statistics import FrameStatistics


def test_the_worst_level_wins_and_all_problems_are_said():
    report = Report(values={"a": "1"})
    assert report.status("n: t", "/n").message == "ok"
    report.problem(WARN, "late")
    report.problem(ERROR, "no model")
    report.problem(OK, "disabled")
    status = report.status("segmentation: model", "/robot/segmentation")
    assert status.level == ERROR
    assert status.message == "late; no model; disabled"
    assert [(value.key, value.value) for value in status.values] == [("a", "1")]
    assert status.hardware_id == "/robot/segmentation"


def test_frame_values_add_up_and_name_reasons():
    statistics = FrameStatistics()
    for _ in range(5):
        statistics.message(10)
        statistics.received()
    statistics.published(dict.fromkeys((*STAGES, "stamp_age"), 0.002))
    statistics.dropped("superseded")
    statistics.rejected("step", "why")
    values = frame_values(statistics)
    parts = ("frames_published", "frames_dropped", "frames_rejected", "frames_pending")
    assert int(values["frames_received"]) == sum(int(values[key]) for key in parts) == 5
    assert values["dropped_superseded"] == "1"
    assert values["rejected_step"] == "1"
    assert values["last_rejection"] == "why"
    assert values["bytes_received"] == "50"
    times = timing_values(statistics)
    assert {key.rsplit("_ms_", 1)[0] for key in times} == {*STAGES, "stamp_age"}
    assert times["inference_ms_median"] == "2.00"


def test_values_become_readable_text():
    values = text_values({"flag": True, "share": 0.123456, "nan": float("nan"), "n": 7, "text": "x"})
    assert values == {"flag": "true", "share": "0.1235", "nan": "nan", "n": "7", "text": "x"}


def test_the_array_carries_the_stamp():
    message = diagnostic_array(Time(sec=3, nanosec=4), [Report().status("a", "b")])
    assert (message.header.stamp.sec, message.header.stamp.nanosec, len(message.status)) == (3, 4, 1)
