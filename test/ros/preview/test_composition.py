"""What a viewer sees of a frame; no ROS is needed for it."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from madm_core.labels import IGNORE, MADM9
from madm_core.palettes import in_palette
from madm_ros.preview.composition import (
    PANEL_WIDTH,
    PreviewFrame,
    class_shares,
    jpeg_strip,
    panels,
)


def frame(height: int = 48, width: int = 64, label: int = 3, **changes) -> PreviewFrame:
    values = {
        "image": np.full((height, width, 3), 0.5, np.float32),
        "labels": np.full((height, width), label, np.uint8),
        "confidence": np.ones((height, width), np.float32),
        "label_set": MADM9,
        "opacity": 1.0,
        **changes,
    }
    return PreviewFrame(**values)


def opened(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(("layout", "axis"), [("row", 1), ("column", 0)])
def test_input_overlay_and_confidence_in_order(layout, axis):
    strip = opened(jpeg_strip(frame(), layout))
    assert strip.shape == ((48, 192, 3) if layout == "row" else (144, 64, 3))
    seen, overlay, confidence = np.split(strip, 3, axis=axis)
    np.testing.assert_allclose(seen[24, 32], [128] * 3, atol=4)
    np.testing.assert_allclose(overlay[24, 32], MADM9.colors[3], atol=6)
    np.testing.assert_allclose(confidence[24, 32], (253, 231, 37), atol=8)  # the yellow end of viridis


def test_large_frames_are_made_smaller_before_they_are_painted():
    labels = np.zeros((960, 1280), np.uint8)
    labels[:, 640:] = 7
    shown = panels(frame(960, 1280, labels=labels))
    assert {picture.shape for picture in shown} == {(480, PANEL_WIDTH, 3)}
    painted = set((shown[1].astype(int) @ (65536, 256, 1)).ravel().tolist())
    assert len(painted) == 2, "classes are not mixed at their borders"


def test_the_palette_is_that_of_the_frame():
    palette = in_palette(MADM9, "color_blind")
    np.testing.assert_array_equal(panels(frame(label=2, label_set=palette))[1][0, 0], palette.colors[2])


def test_without_a_frame_there_is_grey():
    strip = opened(jpeg_strip(None, "row"))
    assert strip.std() < 2 and strip.shape[1] == 3 * 320


def test_numbers_of_a_frame():
    shares = class_shares(np.array([[0, 0, 5, IGNORE]], np.uint8))
    assert (shares[0], shares[5], shares[IGNORE], len(shares)) == (0.5, 0.25, 0.25, 256)


def test_pictures_and_server_need_no_ros():
    code = "import sys, madm_ros.preview.server; print([name for name in sys.modules if name.startswith('rcl')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
