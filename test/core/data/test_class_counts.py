from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from madm_core.data.class_counts import class_counts
from madm_core.data.frames import FrameFiles, Frames
from madm_core.errors import DataError


@pytest.fixture
def frames(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((2, 2), index, np.uint8)).save(tmp_path / f"{index}.png")
    files = [FrameFiles(tmp_path / f"{index}.png", tmp_path / f"{index}.png") for index in range(3)]
    return Frames("f", files, known_ids=frozenset({0, 1, 2, 255}))


def test_counts_are_cached_until_a_label_file_changes(frames, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    expected = [{0: 4}, {1: 4}, {2: 4}]
    assert class_counts(frames, cache, progress=False) == expected
    with monkeypatch.context() as patch:
        patch.setattr(Frames, "labels", lambda self, index: pytest.fail("read again"))
        assert class_counts(frames, cache, progress=False) == expected
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(frames.files[2].labels)
    assert class_counts(frames, cache, progress=False)[2] == {0: 16}


def test_ids_outside_the_mapping_are_an_error(frames, tmp_path):
    Image.fromarray(np.full((2, 2), 77, np.uint8)).save(frames.files[1].labels)
    with pytest.raises(DataError, match=r"1.png hold ids outside the mapping: got \[77\].*mapping file"):
        class_counts(frames, tmp_path / "cache", progress=False)


def test_a_missing_label_file_is_an_error(frames, tmp_path):
    frames.files[1].labels.unlink()
    with pytest.raises(DataError, match="cannot read .*1.png"):
        class_counts(frames, tmp_path / "cache", progress=False)


def test_counts_from_the_cache_are_checked_against_the_mapping_too(frames, tmp_path):
    cache = tmp_path / "cache"
    class_counts(frames, cache, progress=False)
    smaller = dataclasses.replace(frames, known_ids=frozenset({0, 2, 255}))
    with pytest.raises(DataError, match=r"1.png hold ids outside the mapping: got \[1\]"):
        class_counts(smaller, cache, progress=False)
    assert class_counts(frames, cache, progress=False)[1] == {1: 4}


@pytest.mark.parametrize(
    "content", ["", '[{"0": 4}, {"1"', "3", "[1, 2, 3]", '[{"0": null}, {}, {}]', '[{"0": 4}]', "ÿ"]
)
def test_a_damaged_cache_is_made_anew(frames, tmp_path, caplog, content):
    cache = tmp_path / "cache"
    expected = class_counts(frames, cache, progress=False)
    (file,) = (cache / "class_counts").iterdir()
    file.write_text(content, encoding="latin-1")
    assert class_counts(frames, cache, progress=False) == expected
    assert "made anew" in caplog.text
    caplog.clear()
    assert class_counts(frames, cache, progress=False) == expected
    assert not caplog.text
