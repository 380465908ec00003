from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.data.check_sheet import check_sheet, save_sheet
from madm_core.data.checks import check_frames
from madm_core.data.frames import FrameFiles, Frames
from madm_core.errors import DataError
from madm_core.labels import LabelMap, LabelSet

MADM11 = LabelSet.named("madm11")


@pytest.fixture
def frames(tmp_path):
    files = []
    for index in range(4):
        image = np.random.default_rng(index).integers(0, 255, (8, 10, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / f"i{index}.png")
        Image.fromarray(np.full((8, 10), index % 2, np.uint8)).save(tmp_path / f"l{index}.png")
        files.append(FrameFiles(tmp_path / f"i{index}.png", tmp_path / f"l{index}.png"))
    return Frames(
        "four", files, label_map=LabelMap.from_pairs({0: 5}), known_ids=frozenset({0, 1, 255}), expected_count=5
    )


def test_a_good_set(frames):
    report = check_frames(frames, MADM11, progress=False)
    assert report.usable
    assert report.sizes == {(8, 10): 4}
    assert report.class_share[5] == 1
    assert report.ignored_share == 0.5
    text = report.describe(MADM11)
    assert "warning: the published set has 5 frames" in text
    assert "8x10 (4)" in text
    assert "sky   0.000%   never occurs" in text


def test_every_problem_is_listed(frames, tmp_path):
    frames.files[0].image.write_bytes(b"broken")
    Image.fromarray(np.full((8, 10), 9, np.uint8)).save(frames.files[1].labels)
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(frames.files[2].labels)
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(frames.files[3].image)
    report = check_frames(frames, MADM11, progress=False)
    assert not report.usable
    assert [any(word in problem for problem in report.problems) for word in ("i0.png", r"[9]", "differ in size")] == [
        True
    ] * 3
    assert len(report.problems) == 3
    assert report.flat_frames == 1
    assert "1 frames show a single value" in report.describe(MADM11)


def test_the_sheet_shows_frames_above_their_labels(frames, tmp_path):
    sheet = check_sheet(frames, MADM11, samples=3)
    assert sheet.shape == (288, 3 * 180, 3)
    assert tuple(sheet[200, 20]) == MADM11.colors[5]
    save_sheet(tmp_path / "sheets/x.png", sheet)
    with Image.open(tmp_path / "sheets/x.png") as saved:
        assert saved.size == (540, 288)


def test_no_readable_frame_means_no_sheet(frames):
    for frame in frames.files:
        frame.image.write_bytes(b"")
    with pytest.raises(DataError, match="can be shown"):
        check_sheet(frames, MADM11)
