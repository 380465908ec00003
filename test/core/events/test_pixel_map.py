"""Tables from sensor pixels to grid pixels; their use in the grid is tested with the accumulator."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.errors import InvalidInputError
from madm_core.events import PixelMap
from madm_core.events.pixel_map import rectify_map_from_camera_info


def test_the_identity_and_masks():
    plain = PixelMap.build(3, 4)
    assert plain.lookup.tolist() == list(range(12)) and plain.shape == plain.sensor_shape == (3, 4)
    hot = np.zeros((3, 4), bool)
    hot[1, 2] = True
    assert plain.without(hot).lookup.tolist() == [12 if pixel == 6 else pixel for pixel in range(12)]
    assert PixelMap.build(3, 4, hot_pixels=hot).lookup.tolist() == plain.without(hot).lookup.tolist()


def test_rectification_rounds_and_drops():
    rectify_map = np.full((1, 3, 2), np.nan)
    rectify_map[0, 0] = (1.4, 0.4)
    rectify_map[0, 1] = (2.6, 0.0)
    assert PixelMap.build(1, 3, rectify_map=rectify_map).lookup.tolist() == [1, 3, 3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hot_pixels": np.zeros((4, 3), bool)},
        {"rectify_map": np.zeros((3, 4))},
        {"region": (0, 0, 5, 1)},
        {"region": (2, 2, 0, 1)},
        {"region": (-1, 0, 2, 2)},
    ],
)
def test_arguments_that_do_not_fit(wrong):
    with pytest.raises(InvalidInputError, match=r"got .*expected") as caught:
        PixelMap.build(3, 4, **wrong)
    assert caught.value.reason == "size"


def test_camera_info():
    matrix = np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])
    identity = np.stack(np.meshgrid(np.arange(64), np.arange(48)), axis=-1)
    for model, coefficients in (("plumb_bob", np.zeros(5)), ("equidistant", np.zeros(4))):
        found = rectify_map_from_camera_info(matrix, coefficients, 48, 64, model=model)
        centre = np.s_[20:28, 28:36] if model == "equidistant" else np.s_[:, :]
        assert found.shape == (48, 64, 2) and np.abs(found - identity)[centre].max() < 0.3
    moved = matrix + np.array([[0, 0, 5], [0, 0, 0], [0, 0, 0]])
    found = rectify_map_from_camera_info(matrix, np.zeros(5), 48, 64, new_camera_matrix=moved, rectification=np.eye(3))
    assert np.abs(found - identity - (5, 0)).max() < 1e-3
    with pytest.raises(InvalidInputError, match="plumb_bob"):
        rectify_map_from_camera_info(matrix, np.zeros(5), 48, 64, model="fov")
