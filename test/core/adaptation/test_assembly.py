from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from PIL import Image

from madm_core.adaptation.assembly import make_accelerator, open_data
from madm_core.adaptation.training_config import EngineConfig
from madm_core.errors import DataError


def test_processes_wait_for_hours_for_the_first_one(process_group_timeout):
    assert process_group_timeout(lambda: make_accelerator(EngineConfig(device="cpu"))) >= timedelta(hours=3)


def test_a_validation_set_of_which_nothing_can_be_scored_is_refused(tiny_config, tiny_data, tmp_path):
    images, labels = tiny_data / "target/images", tmp_path / "labels"
    labels.mkdir()
    for image in images.iterdir():
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(labels / image.name)
    config = tiny_config(validation={"kind": "folder", "images": images, "labels": labels})
    with pytest.raises(DataError, match="a picture and its labels differ in size"):
        open_data(config, progress=False)
    (labels / "3.png").write_bytes((tiny_data / "target/labels/3.png").read_bytes())
    assert len(open_data(config, progress=False)[2]) == 5
