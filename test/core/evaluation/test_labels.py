"""Ground truth from pictures and topics."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.errors import DataError, InvalidInputError
from madm_core.evaluation.labels import as_labels, labels_of_folder, stamp_of_name
from madm_core.labels import MADM11, LabelMap


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("1700000000123456789", 1_700_000_000_123_456_789),
        ("1700000000.123456789", 1_700_000_000_123_456_789),
        ("1700000000_000000001", 1_700_000_000_000_000_001),
        ("12-000000500", 12_000_000_500),
        ("frame_000012", None),
        ("000012", None),
        ("1700000000.5", None),
    ],
)
def test_stamps_in_file_names(name, stamp):
    assert stamp_of_name(name) == stamp


def test_folder_of_ids_and_palette_pictures(tmp_path):
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4) % 11
    Image.fromarray(ids).save(tmp_path / "2000000000000000000.png")
    painted = Image.fromarray(ids, mode="P")
    painted.putpalette(MADM11.palette.ravel().tolist())
    painted.save(tmp_path / "1000000000000000000.png")
    Image.fromarray(MADM11.colorize(ids)).save(tmp_path / "3000000000000000000.png")
    (tmp_path / "readme.txt").write_text("not a label")
    found = list(labels_of_folder(tmp_path, MADM11))
    assert [labels.stamp_ns // 10**18 for labels in found] == [1, 2, 3]
    for labels in found:
        np.testing.assert_array_equal(labels.load(), ids)


def test_folders_without_labels_are_explained(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        next(labels_of_folder(tmp_path / "nowhere", MADM11))
    (tmp_path / "first.png").touch()
    with pytest.raises(DataError, match=r"got first\.png"):
        next(labels_of_folder(tmp_path, MADM11))
    (tmp_path / "1000000000000000000.png").write_bytes(b"no picture")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        next(labels_of_folder(tmp_path, MADM11)).load()


def test_colours_in_either_order():
    ids = np.array([[0, 3, 10]], np.uint8)
    painted = MADM11.colorize(ids)
    np.testing.assert_array_equal(as_labels(painted, MADM11), ids)
    np.testing.assert_array_equal(as_labels(painted[:, :, ::-1], MADM11, bgr=True), ids)


def test_map_renames_and_16_bit_ids_are_read():
    label_map = LabelMap.from_pairs({7: 5, 40: 255}, "keep")
    np.testing.assert_array_equal(as_labels(np.array([[7, 40, 3]], np.uint16), MADM11, label_map), [[5, 255, 3]])


def test_what_is_no_label_picture_is_explained():
    with pytest.raises(InvalidInputError, match=r"outside the label set madm11: got 11, 30.*--label-map"):
        as_labels(np.array([[11, 30, 255]], np.uint8), MADM11)
    with pytest.raises(InvalidInputError, match="ids above 255"):
        as_labels(np.array([[300]], np.uint16), MADM11)
    with pytest.raises(InvalidInputError, match="no label picture"):
        as_labels(np.zeros((2, 2), np.float32), MADM11)
