"""One frame's way: what is published, what is counted, and a network that hangs."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from std_msgs.msg import Header

from madm_core.errors import DeviceError, InvalidInputError
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.inputs import Frame, SensorFrame
from madm_ros.node_parameters import NodeParameters
from madm_ros.pipeline import Model, Pipeline, input_values
from madm_ros.throttled_log import ThrottledLog


class Line:
    """A pipeline between an input that knows one picture and publishers that remember."""

    def __init__(self, segmenter, array=None, error: Exception | None = None) -> None:
        self.published: list[tuple] = []
        self.warnings: list[str] = []
        self.statistics = FrameStatistics()
        array = np.full((4, 6), 3000, np.uint16) if array is None else array

        def decode(frame: Frame) -> SensorFrame:
            if error is not None:
                raise error
            return SensorFrame(Header(frame_id="f"), array, {"encoding": "16UC1"})

        self.pipeline = Pipeline(
            Model(segmenter, segmenter.modality, 0.0),
            SimpleNamespace(decode=decode, topic="/image"),
            SimpleNamespace(publish=lambda *positional, **named: self.published.append((positional, named))),
            self.statistics,
            parameters=lambda: NodeParameters(min_confidence=0.3),
            warn=ThrottledLog(self.warnings.append, lambda: 60.0),
            now_ns=lambda: 5_000_000_000,
        )

    def run(self, epoch: int = 1) -> None:
        self.statistics.received()
        self.pipeline.handle(Frame(b"", epoch, 0.0))


def test_results_go_out_with_header_and_current_parameters(stand_in):
    line = Line(stand_in())
    line.run()
    (header, labels, confidence, image), named = line.published[0]
    assert header.frame_id == "f"
    assert labels.shape == confidence.shape == image.shape[:2] == (4, 6)
    assert named == {"overlay_opacity": 0.5, "min_confidence": 0.3}
    assert line.statistics.counts.published == 1
    assert line.statistics.percentiles_ms("stamp_age") == (5000.0, 5000.0, 5000.0)
    recent = line.pipeline.recent.usual()
    assert recent.confidence == 0.75 and recent.top_share == 1.0 and recent.inference_s < 1.0
    assert recent.picture["valid_share"] == 1.0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidInputError("odd", reason="step", got="a", expected="b"), "step"),
        (DeviceError("out of memory"), "inference"),
    ],
)
def test_a_frame_that_cannot_be_used_is_rejected_with_its_reason(stand_in, error, reason):
    line = Line(stand_in(), error=error)
    line.run()
    assert line.published == []
    assert line.statistics.counts.rejected == {reason: 1}
    assert "/image" in line.warnings[0] and str(error) in line.warnings[0]


def test_a_result_that_comes_after_the_end_is_not_published(stand_in):
    gate = threading.Event()
    network = stand_in(gate=gate)
    line = Line(network)
    hanging = threading.Thread(target=line.run)
    hanging.start()
    while not network.seen:
        pass
    line.pipeline.cancel()
    gate.set()
    hanging.join()
    assert line.published == []
    assert line.statistics.counts.dropped == {"stopped": 1}


def test_a_picture_without_measurements_is_published_and_warned_about(stand_in):
    line = Line(stand_in(), np.full((4, 6), np.nan, np.float32))
    line.run()
    assert (line.published[0][0][1] == 255).all()
    assert "no pixel on /image" in line.warnings[0]


def test_input_values_leave_out_what_is_not_finite():
    array = np.full((16, 16), np.nan, np.float32)
    array[0, 0], array[8, 8] = 1.0, 3.0
    frame = SensorFrame(Header(), array, {"encoding": "32FC1"})
    values = input_values(frame, {"valid_share": 2 / 256, "picture_mean": 0.5})
    assert (values["raw_min"], values["raw_max"], values["raw_mean"]) == (1.0, 3.0, 2.0)
    assert values["valid_share"] == 2 / 256
    assert values["picture_mean"] == 0.5
    assert values["encoding"] == "32FC1"
