from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from madm_core.data.dsec import DsecConfig, dsec_frames
from madm_core.data.dsec_events import DsecEvents
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet
from madm_core.modalities import DepthModality, EventModality

MADM11 = LabelSet.named("madm11")
OFFSET_US = 1_000_000


@pytest.fixture
def root(tmp_path):
    """An ON event every millisecond for 200 ms at (x = its millisecond, y = 10); rectified, one pixel to the right."""
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("hdf5plugin")
    left = tmp_path / "train_events/zurich_city_00_a/events/left"
    left.mkdir(parents=True)
    times = np.arange(0, 200_000, 1000)
    with h5py.File(left / "events.h5", "w") as file:
        for name, values in (("x", times // 1000), ("y", np.full(200, 10)), ("t", times), ("p", np.ones(200))):
            file[f"events/{name}"] = values.astype(np.uint32)
        file["ms_to_idx"] = np.arange(200)
        file["t_offset"] = OFFSET_US
    rows, columns = np.mgrid[:480, :640].astype(np.float32)
    with h5py.File(left / "rectify_map.h5", "w") as file:
        file["rectify_map"] = np.stack([columns + 1, rows], 2)
    semantic = tmp_path / "train_semantic_segmentation/train/zurich_city_00_a"
    (semantic / "11classes").mkdir(parents=True)
    np.savetxt(
        semantic / "zurich_city_00_a_semantic_timestamps.txt", OFFSET_US + np.array([100_000, 180_000]), fmt="%d"
    )
    for index in range(2):
        Image.fromarray(np.full((440, 640), 5, np.uint8)).save(semantic / f"11classes/{index:06d}.png")
    return tmp_path


def test_a_window_ends_before_its_stamp_and_is_rectified(root):
    left = root / "train_events/zurich_city_00_a/events/left"
    with DsecEvents(left / "events.h5", left / "rectify_map.h5") as events:
        grid = events.voxel_grid(OFFSET_US + 100_000, 50.0, 3)
        assert grid.shape == (3, 480, 640)
        columns = np.flatnonzero(grid.sum(axis=(0, 1)))
        assert columns.tolist() == list(range(51, 101))
        assert grid.sum() == pytest.approx(50, abs=1e-3)
        assert np.flatnonzero(grid.sum(axis=(0, 2))).tolist() == [10]
        assert not events.voxel_grid(OFFSET_US - 100_000, 50.0, 3).any()


def test_raw_events_become_cached_pictures(root, tmp_path):
    config = DsecConfig(root)
    frames = dsec_frames(config, MADM11, EventModality(), tmp_path / "cache", progress=False)
    assert len(frames) == 2
    assert frames.image(0).shape == (480, 640, 3)
    assert (frames.image(0)[10, 60] != 128).any()
    (root / "train_events/zurich_city_00_a/events/left/rectify_map.h5").unlink()
    assert dsec_frames(config, MADM11, EventModality(), tmp_path / "cache", progress=False).files == frames.files


def test_labelled_pictures_of_raw_events_are_the_rows_that_have_labels(root, tmp_path):
    labelled, unlabelled = (
        dsec_frames(DsecConfig(root, use_labels=use), MADM11, EventModality(), tmp_path / "cache", progress=False)
        for use in (True, False)
    )
    image, labels = labelled.labelled_image(1)
    assert image.shape[:2] == labels.shape == (440, 640)
    np.testing.assert_array_equal(image, unlabelled.image(1)[:440])


def test_edge_pictures(root, tmp_path):
    edges = root / "train/zurich_city_00_a/edges"
    edges.mkdir(parents=True)
    Image.new("L", (640, 440)).save(edges / "000001.png")
    frames = dsec_frames(DsecConfig(root, pictures="edges", use_labels=True), MADM11, None, tmp_path)
    assert (frames.labels(0) == 5).all()
    assert frames.expected_count == 4037


def test_mistakes_are_named(root, tmp_path):
    with pytest.raises(ConfigError, match="need the modality event"):
        dsec_frames(DsecConfig(root), MADM11, DepthModality(), tmp_path)
    with pytest.raises(ConfigError, match="no mapping"):
        dsec_frames(DsecConfig(root), LabelSet.named("madm9"), EventModality(), tmp_path)
    with pytest.raises(DataError, match="no DSEC sequences"):
        dsec_frames(DsecConfig(root, "test"), MADM11, EventModality(), tmp_path)
    (root / "train_events/zurich_city_00_a/events/left/events.h5").write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot read the DSEC events"):
        dsec_frames(DsecConfig(root), MADM11, EventModality(), tmp_path / "cache", progress=False)
