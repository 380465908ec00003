from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.data.folder import FolderConfig, folder_frames, read_mapping
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet

MADM11 = LabelSet.named("madm11")


def write(folder, names, value=0):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)


def test_pairs_by_relative_path_and_suffix(tmp_path):
    write(tmp_path / "i", ["b/1.jpg", "a/2.png"])
    write(tmp_path / "l", ["b/1_id.png", "a/2_id.png"], 12)
    (tmp_path / "map.yaml").write_text("12: car\n3: ignore\n")
    config = FolderConfig(tmp_path / "i", tmp_path / "l", tmp_path / "map.yaml", label_suffix="_id")
    frames = folder_frames(config, MADM11, None)
    assert [frame.image.name for frame in frames.files] == ["2.png", "1.jpg"]
    assert [frame.labels.name for frame in frames.files] == ["2_id.png", "1_id.png"]
    assert frames.labelled
    assert frames.to_label_set(frames.labels(0))[0, 0] == MADM11.names.index("car")
    assert frames.known_ids == {12, 3, 255}
    assert frames.to_label_set(np.array([[3, 7]], np.uint8)).tolist() == [[255, 255]]


def test_without_labels(tmp_path):
    write(tmp_path / "i", ["1.png"])
    frames = folder_frames(FolderConfig(tmp_path / "i"), MADM11, None)
    assert len(frames) == 1
    assert not frames.labelled
    with pytest.raises(DataError, match="has no labels"):
        frames.labels(0)


def test_pictures_and_labels_that_do_not_match(tmp_path):
    write(tmp_path / "i", ["1.png", "2.png"])
    write(tmp_path / "l", ["1.png"])
    with pytest.raises(DataError, match="2 pictures, 1 label files.*no labels for .*2.png"):
        folder_frames(FolderConfig(tmp_path / "i", tmp_path / "l"), MADM11, None)
    write(tmp_path / "l", ["2.png", "3.png"])
    with pytest.raises(DataError, match="no picture for .*3.png"):
        folder_frames(FolderConfig(tmp_path / "i", tmp_path / "l"), MADM11, None)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(DataError, match="folder of pictures is missing"):
        folder_frames(FolderConfig(tmp_path / "nowhere"), MADM11, None)
    with pytest.raises(DataError, match="there are no pictures"):
        folder_frames(FolderConfig(tmp_path), MADM11, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1: rod", "maps id 1 to an unknown class.*Did you mean 'road'"),
        ("road: 1", "no label id.*got 'road'"),
        ("300: road", "no label id"),
        ("[1]", "expected a mapping"),
    ],
)
def test_mistakes_in_the_mapping_are_named(tmp_path, text, message):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_mapping(tmp_path / "map.yaml", MADM11)
