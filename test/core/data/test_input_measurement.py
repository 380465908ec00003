"""Measuring the frames of a data set."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from madm_core.data.frames import FrameFiles, Frames
from madm_core.data.input_measurement import measure_frames


def frames_of(folder, levels):
    for index, level in enumerate(levels):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((16, 16), level, np.uint8))
    return Frames("set", [FrameFiles(folder / f"{index}.png") for index in range(len(levels))])


def test_frames_are_measured_evenly_over_the_set(tmp_path):
    statistics = measure_frames(frames_of(tmp_path, [0] * 5 + [255] * 5), limit=4)
    assert statistics.frames == 4
    assert statistics.mean == pytest.approx({"picture_mean": 0.5, "picture_contrast": 0.0, "valid_share": 1.0})
    assert statistics.spread["picture_mean"] == pytest.approx(0.5)


def test_a_broken_frame_is_left_out_and_named(tmp_path, caplog):
    frames = frames_of(tmp_path, [51, 51, 255])
    (tmp_path / "2.png").write_bytes(b"no picture")
    assert measure_frames(frames).mean["picture_mean"] == pytest.approx(0.2)
    assert "2.png" in caplog.text
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert measure_frames(frames) is None
