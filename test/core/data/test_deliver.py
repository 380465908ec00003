from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.data.deliver import DeliverConfig, deliver_frames
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet

MADM11 = LabelSet.named("madm11")


def test_depth_pictures_with_their_labels(tmp_path):
    for kind, word, value in (("depth", "depth", 9), ("semantic", "semantic", 8)):
        for split in ("train", "test"):
            folder = tmp_path / kind / "fog" / split / "MAP_1_point2"
            folder.mkdir(parents=True)
            Image.fromarray(np.full((4, 4, 4), value, np.uint8)).save(folder / f"000_{word}_front.png")
    frames = deliver_frames(DeliverConfig(tmp_path, "test", use_labels=True), MADM11)
    assert len(frames) == 1
    assert frames.expected_count == 1897
    assert frames.image(0).shape == (4, 4, 3)
    # 8 is stored for class 7, the sidewalk of DELIVER.
    assert MADM11.names[frames.to_label_set(frames.labels(0))[0, 0]] == "sidewalk"
    assert not deliver_frames(DeliverConfig(tmp_path), MADM11).labelled
    (tmp_path / "semantic/fog/test/MAP_1_point2/000_semantic_front.png").unlink()
    with pytest.raises(DataError, match="has no labels"):
        deliver_frames(DeliverConfig(tmp_path, "test", use_labels=True), MADM11)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no mapping"):
        deliver_frames(DeliverConfig(tmp_path), LabelSet.named("madm9"))
    with pytest.raises(DataError, match="missing"):
        deliver_frames(DeliverConfig(tmp_path), MADM11)
