"""Pictures for people, pixel by pixel."""

from __future__ import annotations

import numpy as np

from madm_core.labels import IGNORE, MADM9
from madm_core.pictures import confidence_image, overlay_image, to_uint8


def test_overlay_mixes_colours_and_keeps_unlabelled_pixels():
    image = np.full((1, 2, 3), 100, np.uint8)
    painted = overlay_image(image, np.array([[0, IGNORE]], np.uint8), MADM9, 0.25)
    np.testing.assert_array_equal(painted[0, 0], np.rint(0.25 * np.array(MADM9.colors[0]) + 75))
    np.testing.assert_array_equal(painted[0, 1], [100, 100, 100])


def test_to_uint8_rounds_and_clips():
    values = np.array([[-0.5, 0.0, 0.5, 1.0, 1.7]], np.float32)
    np.testing.assert_array_equal(to_uint8(values), [[0, 0, 128, 255, 255]])


def test_confidence_grows_brighter_and_is_black_without_a_class():
    confidence = np.array([[0, 64, 128, 192, 255, 255]], np.uint8)
    labels = np.array([[1, 1, 1, 1, 1, IGNORE]], np.uint8)
    painted = confidence_image(confidence, labels).astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(painted[0, :5]) > 15).all()
    assert painted[0, 5] == 0
