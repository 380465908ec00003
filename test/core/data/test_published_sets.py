from __future__ import annotations

import pytest

from madm_core.data.frames import FrameFiles
from madm_core.data.published_sets import frame_files, require_label_set
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet


def test_only_the_label_set_that_a_data_set_maps_to_is_taken():
    require_label_set("FMB", LabelSet.named("madm9"), "madm9")
    with pytest.raises(ConfigError, match=r"FMB has no mapping.*madm11.*expected madm9"):
        require_label_set("FMB", LabelSet.named("madm11"), "madm9")


def test_pictures_are_paired_with_labels_only_when_asked_for(tmp_path):
    images = [tmp_path / "0.png", tmp_path / "1.png"]
    assert frame_files("DSEC", images, None) == [FrameFiles(image) for image in images]
    (tmp_path / "0.txt").touch()
    assert frame_files("DSEC", images[:1], lambda image: image.with_suffix(".txt"))[0].labels == tmp_path / "0.txt"
    with pytest.raises(DataError, match=r"a picture of DSEC has no labels.*1\.png.*1\.txt"):
        frame_files("DSEC", images, lambda image: image.with_suffix(".txt"))
