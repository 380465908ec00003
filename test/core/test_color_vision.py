"""Colour differences against published numbers; simulated dichromats against what they cannot see."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.color_vision import VISIONS, ciede2000, lab, linear_light, seen_as, smallest_difference

SHARMA = np.array([
    (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
    (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
    (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
    (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
    (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
    (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
    (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
    (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
    (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
    (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
    (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
    (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
    (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
    (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
    (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
    (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
])  # fmt: skip
"""The paper's test pairs, without the two that lie on the formula's discontinuity to the last bit."""


def test_ciede2000_gives_the_published_differences():
    first, second, expected = SHARMA[:, :3], SHARMA[:, 3:6], SHARMA[:, 6]
    np.testing.assert_allclose(ciede2000(first, second), expected, atol=5e-5)
    np.testing.assert_allclose(ciede2000(second, first), expected, atol=5e-5)


def test_lab_of_known_colors():
    colors = np.array([(255, 255, 255), (0, 0, 0), (255, 0, 0), (119, 119, 119)])
    expected = [(100, 0, 0), (0, 0, 0), (53.24, 80.09, 67.20), (50.03, 0, 0)]
    np.testing.assert_allclose(lab(linear_light(colors)), expected, atol=0.02)


@pytest.mark.parametrize("vision", VISIONS)
def test_grey_looks_the_same_to_everybody(vision):
    grey = np.repeat(np.arange(0, 256, 15), 3).reshape(-1, 3)
    np.testing.assert_allclose(seen_as(grey, vision), linear_light(grey), atol=2e-5)


def test_what_a_missing_cone_cannot_tell_apart():
    """Red and olive green of like lightness; blue-green and blue for those without blue cones."""
    red_green, blue_green = np.array([(163, 60, 40), (107, 107, 0)]), np.array([(0, 110, 130), (0, 120, 90)])
    normal, deuteranope = (smallest_difference(red_green, vision) for vision in ("normal", "deuteranopia"))
    assert deuteranope < 0.35 * normal
    normal, tritanope = (smallest_difference(blue_green, vision) for vision in ("normal", "tritanopia"))
    assert tritanope < 0.5 * normal


def test_the_smallest_difference_is_that_of_the_most_alike_pair():
    colors = np.array([(0, 0, 0), (255, 255, 255), (250, 250, 250)])
    expected = float(ciede2000(*lab(seen_as(colors[1:], "normal"))))
    assert smallest_difference(colors, "normal") == pytest.approx(expected)
