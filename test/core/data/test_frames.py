from __future__ import annotations

import errno
import os
import struct
import zlib
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


def test_grey_with_alpha_is_grey(tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (6, 8), np.uint8)
    Image.merge("LA", (Image.fromarray(grey), Image.fromarray(255 - grey))).save(tmp_path / "x.png")
    picture = Frames("f", [FrameFiles(tmp_path / "x.png")]).image(0)
    np.testing.assert_array_equal(picture, np.repeat(grey[:, :, None], 3, 2))


@pytest.mark.parametrize(
    ("mode", "suffix"), [("CMYK", ".tif"), ("CMYK", ".jpg"), ("YCbCr", ".tif"), ("LAB", ".tif"), ("PA", ".tif")]
)
def test_other_ways_to_keep_colours_become_rgb(tmp_path, mode, suffix):
    """Each of them has as many channels as a picture that is kept as it is, and means something else."""
    image = Image.new("RGB", (16, 16), (200, 40, 90))
    path = tmp_path / f"x{suffix}"
    (image.quantize(2).convert("PA") if mode == "PA" else image.convert(mode)).save(path)
    with Image.open(path) as stored:
        assert stored.mode == mode
    picture = Frames("f", [FrameFiles(path)]).image(0)
    assert np.abs(picture.astype(int) - [200, 40, 90]).max() < 6


@pytest.mark.parametrize("shape", [(4, 5, 5), (4, 5, 0), (4,), (2, 4, 5, 3)])
def test_what_is_no_picture_is_refused(tmp_path, shape):
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    frames = Frames("f", [FrameFiles(tmp_path / "x.npy")])
    with pytest.raises(DataError, match=r"x\.npy cannot be used.*1 to 4 channels"):
        frames.image(0)
    with pytest.raises(DataError, match=r"x\.npy cannot be encoded"):
        Frames("f", frames.files, modality=DepthModality()).image(0)


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


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_disk_that_fails_is_a_broken_file(tmp_path, monkeypatch, number):
    Image.new("L", (4, 4)).save(tmp_path / "x.png")

    def read_bytes(path: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(DataError, match=rf"cannot read .*x\.png.*{os.strerror(number)}"):
        read_array(tmp_path / "x.png")


def test_a_picture_too_large_for_the_decoder_is_a_broken_file(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    data = bytearray((tmp_path / "x.png").read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(DataError, match=r"cannot read .*x\.png"):
        read_array(tmp_path / "x.png")


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
