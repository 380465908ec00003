from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.data.fmb import FmbConfig, fmb_frames
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet

MADM9 = LabelSet.named("madm9")


def test_thermal_pictures_with_their_labels(tmp_path):
    for folder, value in (("Infrared", 50), ("Label", 1)):
        (tmp_path / "test" / folder).mkdir(parents=True)
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(tmp_path / f"test/{folder}/00001.png")
    frames = fmb_frames(FmbConfig(tmp_path, "test", use_labels=True), MADM9)
    assert len(frames) == 1
    assert frames.expected_count == 280
    assert MADM9.names[frames.to_label_set(frames.labels(0))[0, 0]] == "road"
    assert not fmb_frames(FmbConfig(tmp_path, "test"), MADM9).labelled
    (tmp_path / "test/Label/00001.png").unlink()
    with pytest.raises(DataError, match="has no labels"):
        fmb_frames(FmbConfig(tmp_path, "test", use_labels=True), MADM9)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no mapping"):
        fmb_frames(FmbConfig(tmp_path), LabelSet.named("madm11"))
    with pytest.raises(DataError, match="missing"):
        fmb_frames(FmbConfig(tmp_path), MADM9)
