from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from madm_core.data.cityscapes import CityscapesConfig, cityscapes_frames
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet

MADM11 = LabelSet.named("madm11")
STEM = "aachen_000000_000019"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "leftImg8bit/train/aachen").mkdir(parents=True)
    (tmp_path / "gtFine/train/aachen").mkdir(parents=True)
    Image.new("RGB", (32, 16)).save(tmp_path / f"leftImg8bit/train/aachen/{STEM}_leftImg8bit.png")
    return tmp_path


def labels_file(root, kind):
    return root / f"gtFine/train/aachen/{STEM}_gtFine_{kind}"


def save_polygons(root):
    """Road everywhere (id 7), a car (26) on its right half, persons (24), and a static thing (4)."""
    objects = [
        {"label": "road", "polygon": [[0, 0], [31, 0], [31, 15], [0, 15]]},
        {"label": "car", "polygon": [[16, 0], [31, 0], [31, 15], [16, 15]]},
        {"label": "persongroup", "polygon": [[0, 0], [3, 0], [3, 3], [0, 3]]},
        {"label": "static", "polygon": [[4, 0], [7, 0], [7, 3], [4, 3]]},
        {"label": "sky", "polygon": [[0, 0], [31, 0], [31, 15], [0, 15]], "deleted": 1},
    ]
    text = json.dumps({"imgWidth": 32, "imgHeight": 16, "objects": objects})
    labels_file(root, "polygons.json").write_text(text)


def expected_train_ids():
    labels = np.zeros((16, 32), np.uint8)
    labels[:, 16:] = 13
    labels[:4, :4] = 11
    labels[:4, 4:8] = 255
    return labels


@pytest.mark.parametrize("kind", ["labelTrainIds.png", "labelIds.png", "polygons.json"])
def test_all_three_kinds_of_label_files_give_the_same_ids(root, kind):
    expected = expected_train_ids()
    if kind == "polygons.json":
        save_polygons(root)
    else:
        table = np.full(256, 4, np.uint8)
        table[[0, 13, 11]] = (0, 13, 11) if kind == "labelTrainIds.png" else (7, 26, 24)
        table[255] = 255 if kind == "labelTrainIds.png" else 4
        Image.fromarray(table[expected]).save(labels_file(root, kind))
    frames = cityscapes_frames(CityscapesConfig(root), MADM11)
    np.testing.assert_array_equal(frames.labels(0), expected)
    assert frames.to_label_set(frames.labels(0))[8, 20] == MADM11.names.index("car")
    assert frames.expected_count == 2975


def test_prepared_train_ids_win(root):
    save_polygons(root)
    Image.fromarray(np.full((16, 32), 9, np.uint8)).save(labels_file(root, "labelTrainIds.png"))
    assert (cityscapes_frames(CityscapesConfig(root), MADM11).labels(0) == 9).all()


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(DataError, match="no labels.*gtFine_labelTrainIds.*gtFine_trainvaltest.zip"):
        cityscapes_frames(CityscapesConfig(root), MADM11)
    with pytest.raises(DataError, match="missing.*leftImg8bit"):
        cityscapes_frames(CityscapesConfig(tmp_path / "nowhere"), MADM11)
    with pytest.raises(ConfigError, match="no mapping"):
        cityscapes_frames(CityscapesConfig(root), LabelSet("own", ("a",), ((1, 2, 3),)))


def test_a_broken_polygon_file_is_named(root):
    labels_file(root, "polygons.json").write_text("{")
    frames = cityscapes_frames(CityscapesConfig(root), MADM11)
    with pytest.raises(DataError, match="cannot read .*polygons.json"):
        frames.labels(0)
