"""PNGs whose chunks claim more than there is."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from madm_core.data.frames import read_array
from madm_core.errors import DataError
from madm_core.messages.png_chunks import chunks_fit

PNG = cv2.imencode(".png", np.arange(600, dtype=np.uint16).reshape(20, 30))[1].tobytes()
IDAT = PNG.index(b"IDAT") - 4


def claiming(length: int) -> bytes:
    return PNG[:IDAT] + struct.pack(">I", length) + PNG[IDAT + 4 :]


def test_whole_pictures_and_what_is_no_png():
    assert chunks_fit(PNG)
    assert chunks_fit(PNG + b"more behind the end mark")
    assert chunks_fit(b"\xff\xd8\xff jpeg")
    assert chunks_fit(b"")


@pytest.mark.parametrize("length", [len(PNG), 1 << 30, 2**32 - 1])
def test_a_length_that_cannot_be(length):
    assert not chunks_fit(claiming(length))


def test_a_picture_that_was_cut_off():
    assert not chunks_fit(PNG[: IDAT + 30])


def test_a_file_that_claims_gigabytes_is_refused_without_asking_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("OpenCV would allocate what is claimed"))
    (tmp_path / "x.png").write_bytes(claiming(1 << 30))
    with pytest.raises(DataError, match=r"x\.png"):
        read_array(tmp_path / "x.png")


def test_deep_pictures_are_read_as_before(tmp_path):
    (tmp_path / "x.png").write_bytes(PNG)
    array = read_array(tmp_path / "x.png")
    assert array.dtype == np.uint16 and array[19, 29] == 599
    cv2.imwrite(str(tmp_path / "y.tiff"), array)
    assert (read_array(tmp_path / "y.tiff") == array).all()
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(DataError):
        read_array(tmp_path / "empty.png")
