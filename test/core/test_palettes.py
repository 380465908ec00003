"""The palette for the colour-blind: how far apart its colours look, to whom, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.color_vision import VISIONS, ciede2000, lab, linear_light, seen_as, smallest_difference
from madm_core.errors import ConfigError
from madm_core.labels import CITYSCAPES19, MADM9, MADM11, LabelSet
from madm_core.palettes import OVERLAY_GREY, OVERLAY_OPACITY, in_palette

BOUNDS = {MADM9: 13.0, MADM11: 11.5, CITYSCAPES19: 7.0}
"""Smallest CIEDE2000 difference of any two classes, or of a class and black, for every observer."""

OTHER_MODELS = {
    "protanopia": np.array(((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1))).T,
    "deuteranopia": np.array(((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1))).T,
    "tritanopia": np.array(
        ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900))
    ).T,
}
"""Models of the same dichromats that the palette was not computed with, on linear sRGB: Vienot, Brettel and Mollon 1999
for the first two, Machado et al. 2009 for the last."""


def with_black(label_set: LabelSet) -> np.ndarray:
    return np.array([*label_set.colors, (0, 0, 0)])


def own_set(number: int) -> LabelSet:
    colors = np.random.default_rng(number).choice(2**24 - 1, number, replace=False) + 1
    names = tuple(f"class {index}" for index in range(number))
    return LabelSet("own", names, tuple((int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in colors))


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("label_set", BOUNDS, ids=lambda label_set: label_set.name)
def test_any_two_classes_differ_for_everybody(label_set, vision):
    palette = in_palette(label_set, "color_blind")
    assert smallest_difference(with_black(palette), vision) >= BOUNDS[label_set]


@pytest.mark.parametrize("label_set", BOUNDS, ids=lambda label_set: label_set.name)
def test_the_least_difference_is_several_times_that_of_the_own_colors(label_set):
    own, palette = (
        min(smallest_difference(np.array(one.colors), vision) for vision in VISIONS)
        for one in (label_set, in_palette(label_set, "color_blind"))
    )
    assert palette > 2.5 * own


@pytest.mark.parametrize("label_set", BOUNDS, ids=lambda label_set: label_set.name)
def test_in_an_overlay_half_of_the_difference_remains(label_set):
    """At the node's default opacity over mid-grey; of the sets' own colours two come as near as 1.6 there."""

    def smallest(one: LabelSet) -> float:
        overlaid = OVERLAY_OPACITY * np.array(one.colors) + (1 - OVERLAY_OPACITY) * OVERLAY_GREY
        return min(smallest_difference(overlaid, vision) for vision in VISIONS)

    assert smallest(in_palette(label_set, "color_blind")) >= 0.48 * BOUNDS[label_set] > 3
    assert smallest(label_set) < 1.7


@pytest.mark.parametrize("label_set", BOUNDS, ids=lambda label_set: label_set.name)
def test_another_model_of_color_blindness_agrees(label_set):
    def smallest(one: LabelSet) -> float:
        seen = [lab(np.clip(linear_light(np.array(one.colors)) @ matrix, 0, 1)) for matrix in OTHER_MODELS.values()]
        pairs = ~np.eye(len(one), dtype=bool)
        return min(float(ciede2000(colors[:, None], colors[None])[pairs].min()) for colors in seen)

    assert smallest(in_palette(label_set, "color_blind")) > 0.75 * BOUNDS[label_set] > 1.5 * smallest(label_set)


@pytest.mark.parametrize(("number", "bound"), [(1, 40), (2, 35), (3, 25), (5, 15), (14, 8), (30, 5.5), (60, 3.5)])
def test_own_label_sets_of_any_size(number, bound):
    label_set = own_set(number)
    palette = in_palette(label_set, "color_blind")
    assert (palette.name, palette.names, palette.ids) == (label_set.name, label_set.names, label_set.ids)
    assert min(smallest_difference(with_black(palette), vision) for vision in VISIONS) >= bound


def test_classes_stay_near_the_colors_people_know():
    palette = in_palette(MADM11, "color_blind")
    own, new = (lab(seen_as(np.array(one.colors), "normal")) for one in (MADM11, palette))
    moved = dict(zip(MADM11.names, ciede2000(own, new), strict=True))
    assert max(moved.values()) < 20 and np.mean(list(moved.values())) < 8
    red, green, blue = palette.colors[MADM11.names.index("sky")]
    assert blue > green and blue > red
    red, green, blue = palette.colors[MADM11.names.index("vegetation")]
    assert green > red and green > blue


def test_the_same_set_gets_the_same_colors_again():
    first = in_palette(MADM9, "color_blind")
    in_palette.cache_clear()
    assert in_palette(MADM9, "color_blind") == first


def test_label_set_is_the_set_itself_and_others_are_refused():
    assert in_palette(MADM11, "label_set") is MADM11
    with pytest.raises(ConfigError, match="unknown palette: got 'pretty'; expected label_set or color_blind"):
        in_palette(MADM11, "pretty")
