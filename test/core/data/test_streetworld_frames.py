from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from madm_core.data.streetworld_frames import StreetworldConfig, streetworld_frames
from madm_core.errors import ConfigError, DataError
from madm_core.labels import LabelSet
from madm_core.modalities import DepthModality, EventModality

MADM11 = LabelSet.named("madm11")


@pytest.fixture
def root(tmp_path):
    for folder in ("rgb", "depth", "labels", "events"):
        (tmp_path / folder).mkdir()
    (tmp_path / "streetworld.json").write_text("{}")
    Image.new("RGB", (10, 8), (1, 2, 3)).save(tmp_path / "rgb/5.png")
    cv2.imwrite(str(tmp_path / "depth/5.png"), np.full((8, 10), 4000, np.uint16))
    Image.new("L", (10, 8), 5).save(tmp_path / "labels/5.png")
    np.savez(tmp_path / "events/5.npz", x=np.array([3]), y=np.array([4]), t=np.array([0]), p=np.array([1]))
    return tmp_path


def test_every_sensor_with_its_labels(root):
    rgb = streetworld_frames(StreetworldConfig(root, "rgb"), MADM11, None)
    assert rgb.image(0)[0, 0].tolist() == [1, 2, 3]
    depth = streetworld_frames(
        StreetworldConfig(root, "depth"), MADM11, DepthModality(min_depth_m=1.0, max_depth_m=16.0)
    )
    assert depth.image(0)[0, 0, 0] == round(255 * 0.5)
    events = streetworld_frames(StreetworldConfig(root, "event"), MADM11, EventModality())
    assert np.argwhere(events.image(0)[:, :, 0] != 128).tolist() == [[4, 3]]
    assert (rgb.labels(0) == 5).all()
    assert not streetworld_frames(StreetworldConfig(root, "rgb", use_labels=False), MADM11, None).labelled


def test_mistakes_are_named(root):
    with pytest.raises(ConfigError, match="need the modality depth"):
        streetworld_frames(StreetworldConfig(root, "depth"), MADM11, EventModality())
    with pytest.raises(ConfigError, match="own label set"):
        streetworld_frames(StreetworldConfig(root, "rgb"), LabelSet.named("madm9"), None)
    (root / "labels/5.png").unlink()
    with pytest.raises(DataError, match="no usable rgb frames"):
        streetworld_frames(StreetworldConfig(root, "rgb"), MADM11, None)
    (root / "streetworld.json").unlink()
    with pytest.raises(DataError, match="not a StreetWorld folder"):
        streetworld_frames(StreetworldConfig(root, "rgb"), MADM11, None)


@pytest.fixture
def damaged(root):
    """Damages the events' file in one way."""

    def damage(kind: str) -> None:
        file = root / "events/5.npz"
        if kind == "empty":
            file.write_bytes(b"")
        elif kind == "cut short":
            file.write_bytes(file.read_bytes()[:-40])
        elif kind == "another array":
            np.savez(file, x=np.array([3]))
        elif kind == "no archive":
            with file.open("wb") as stream:
                np.save(stream, np.array([3]))
        else:
            np.savez_compressed(file, **{name: np.arange(1000) % 7 for name in "xytp"})
            content = bytearray(file.read_bytes())
            content[60:90] = bytes([255] * 30)
            file.write_bytes(content)

    return damage


@pytest.mark.parametrize("kind", ["empty", "cut short", "another array", "no archive", "bad bytes"])
def test_damaged_events_are_an_unusable_frame(root, damaged, kind):
    events = streetworld_frames(StreetworldConfig(root, "event"), MADM11, EventModality())
    damaged(kind)
    with pytest.raises(DataError, match=r"cannot read the events .*5\.npz"):
        events.image(0)
