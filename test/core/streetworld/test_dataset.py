"""Frames for training: every frame a function of the seed and its number."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.errors import ConfigError
from madm_core.events import voxel_grid
from madm_core.streetworld.dataset import street_frames

SIZE = (32, 64)


def test_frames_have_all_sensors_at_the_size_asked_for():
    frames = list(street_frames(1, 3, SIZE, frames_per_street=2))
    assert len(frames) == 3
    for frame in frames:
        assert frame.rgb.shape == (*SIZE, 3) and frame.rgb.dtype == np.uint8
        assert frame.depth.shape == SIZE and frame.depth.dtype == np.float32
        assert frame.thermal.shape == SIZE and frame.thermal.dtype == np.uint16
        assert frame.labels.shape == SIZE and frame.labels.max() <= 10
        events = frame.events
        assert len(events) > 50
        assert events["t"].min() >= frame.time_ns - 50_000_000 and events["t"].max() <= frame.time_ns
        grid = voxel_grid(*(events[name].astype(np.int64) for name in "xytp"), bins=3, height=SIZE[0], width=SIZE[1])
        assert float(grid.abs().sum()) > 0
    assert not np.array_equal(frames[0].labels, frames[1].labels)
    assert not np.array_equal(frames[1].labels, frames[2].labels)


def test_a_frame_depends_on_its_number_alone():
    whole = list(street_frames(2, 5, SIZE, ["rgb", "depth"], frames_per_street=2))
    (third,) = street_frames(2, 1, SIZE, ["rgb", "depth"], frames_per_street=2, start=3)
    np.testing.assert_array_equal(third.rgb, whole[3].rgb)
    np.testing.assert_array_equal(third.depth, whole[3].depth)


def test_the_sensors_of_a_frame_do_not_depend_on_which_others_were_asked_for():
    (alone,) = street_frames(3, 1, SIZE, ["depth"])
    assert alone.rgb is None and alone.thermal is None and alone.events is None
    (both,) = street_frames(3, 1, SIZE, ["depth", "event"])
    np.testing.assert_array_equal(alone.labels, both.labels)
    # Only the noise is drawn in another order.
    assert np.nanmedian(np.abs(alone.depth - both.depth)) < 0.2


def test_seeds_share_nothing():
    (one,), (other,) = (street_frames(seed, 1, SIZE, ["rgb"]) for seed in (10, 11))
    assert not np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"sensors": ["lidar"]}, "rgb, depth, thermal, event"),
        ({"sensors": []}, "unknown sensors"),
        ({"seed": -1}, "seed -1"),
        ({"frames_per_street": 0}, "at least one frame"),
        ({"size": (2, 2)}, "height x width"),
    ],
)
def test_unusable_arguments_are_explained(arguments, complaint):
    with pytest.raises(ConfigError, match=complaint):
        next(street_frames(**{"seed": 0, "count": 1, "size": SIZE, **arguments}))
