from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from madm_core.data.frames import FrameFiles, Frames, read_array, read_label_file, to_picture
from madm_core.errors import DataError
from madm_core.modalities import DepthModality, ThermalModality


def test_pictures_of_all_kinds_become_three_channels(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    for name, array in (("rgb", rgb), ("grey", rgb[:, :, 0]), ("alpha", np.dstack([rgb, rgb[:, :, :1]]))):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    files = [FrameFiles(tmp_path / f"{name}.png") for name in ("rgb", "grey", "alpha")]
    frames = Frames("f", files)
    np.testing.assert_array_equal(frames.image(0), rgb)
    np.testing.assert_array_equal(frames.image(1), np.repeat(rgb[:, :, :1], 3, 2))
    np.testing.assert_array_equal(frames.image(2), rgb)


def test_deep_pictures_go_through_the_modality(tmp_path):
    millimetres = np.full((4, 5), 2000, np.uint16)
    cv2.imwrite(str(tmp_path / "depth.png"), millimetres)
    array = read_array(tmp_path / "depth.png")
    assert array.dtype == np.uint16
    picture = to_picture(array, DepthModality(), "x")
    assert picture.shape == (4, 5, 3)
    assert np.ptp(picture) == 0
    with pytest.raises(DataError, match="got uint16.*[Nn]ame the modality"):
        to_picture(array, None, "x")


def test_deep_frames_do_not_depend_on_the_order_they_are_read_in(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(2):
        np.save(tmp_path / f"{index}.npy", rng.integers(20000 + index * 5000, 30000, (9, 9)).astype(np.uint16))
    files = [FrameFiles(tmp_path / f"{index}.npy") for index in range(2)]
    frames = Frames("t", files, modality=ThermalModality())
    first = frames.image(0)
    frames.image(1)
    np.testing.assert_array_equal(frames.image(0), first)


def test_palette_labels_keep_their_ids(tmp_path):
    image = Image.new("P", (2, 1))
    image.putdata([3, 7])
    image.putpalette([0, 0, 0] * 3 + [255, 0, 0] + [0, 0, 0] * 3 + [0, 255, 0])
    image.save(tmp_path / "labels.png")
    assert read_label_file(tmp_path / "labels.png").tolist() == [[3, 7]]


def test_ids_above_255_are_refused(tmp_path):
    Image.fromarray(np.array([[300]], np.uint16)).save(tmp_path / "labels.png")
    with pytest.raises(DataError, match="ids up to 300"):
        read_label_file(tmp_path / "labels.png")


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n0000"])
def test_broken_files_are_named(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*x\.png"):
        read_array(path)
    with pytest.raises(DataError, match="the file is missing"):
        read_array(tmp_path / "y.png")


def test_a_truncated_picture_is_refused(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cannot read"):
        read_array(tmp_path / "x.jpg")


def test_a_picture_and_labels_of_different_size_are_refused(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "i.png")
    Image.new("L", (8, 5)).save(tmp_path / "l.png")
    with pytest.raises(DataError, match="differ in size.*6x8.*5x8"):
        Frames("f", [FrameFiles(tmp_path / "i.png", tmp_path / "l.png")]).labelled_image(0)


def test_size_covers_the_crop_and_keeps_proportions():
    frames = Frames("f", [FrameFiles(Path("x"))])
    assert frames.size_for(480, 640, (512, 512)) == (512, 683)
    assert frames.size_for(2000, 1000, (64, 128)) == (256, 128)
    assert Frames("f", [], resize=(10, 20)).size_for(1, 1, (5, 5)) == (10, 20)
