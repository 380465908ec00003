from __future__ import annotations

import math
import random

import pytest
import torch

from madm_core.adaptation.appearance import AppearanceChange, change_appearance, draw_appearance


def test_curves_are_followed():
    image = torch.linspace(0, 1, 11).expand(1, 3, 1, 11)
    inverted = change_appearance(image, (AppearanceChange(False, ((1.0, 0.5, 0.0),)),))
    torch.testing.assert_close(inverted, 1 - image)
    folded = change_appearance(image, (AppearanceChange(False, ((0.0, 1.0, 0.0),)),))
    torch.testing.assert_close(folded, 1 - (2 * image - 1).abs())


def test_grey_and_false_colour():
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    identity = (0.0, 0.5, 1.0)
    grey = change_appearance(image, (AppearanceChange(True, (identity,)),))
    expected = 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]
    for channel in range(3):
        torch.testing.assert_close(grey[:, channel], expected)
    false = change_appearance(image, (AppearanceChange(True, (identity, (1.0, 0.5, 0.0), identity)),))
    torch.testing.assert_close(false[:, 1], 1 - expected)


def test_draws_keep_the_picture_legible():
    image = torch.linspace(0, 1, 256).expand(200, 3, 1, 256)
    draws = tuple(draw for draw in draw_appearance(random.Random(0), 260, 1.0) if not draw.movements)[:200]
    changed = change_appearance(image, draws)
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6
    spans = changed.flatten(1).amax(1) - changed.flatten(1).amin(1)
    assert spans.min() >= 0.5 - 1e-4
    assert {len(draw.curves) for draw in draws} == {1, 3}
    slopes = torch.diff(changed[:, 0, 0], dim=1)
    monotone = ((slopes >= -1e-6).all(1) | (slopes <= 1e-6).all(1)).float().mean()
    assert 0.2 < monotone < 0.8


@pytest.mark.parametrize("way", [(0.1, 0.0), (0.0, -0.1), (0.001, 0.0)])
def test_a_movement_leaves_what_changes(way):
    """A bright square moves by a tenth of ten pixels: one row or column brightens, one darkens, the rest is 0.5."""
    image = torch.zeros(1, 3, 10, 20)
    image[..., 3:7, 5:9] = 1
    moved = change_appearance(image, (AppearanceChange(True, ((0.0, 1.0),), (way,) * 3),))
    down, right = int(way[0] > 0), -int(way[1] < 0)
    before = torch.zeros(1, 3, 10, 20)
    before[..., 3 + down : 7 + down, 5 + right : 9 + right] = 1
    assert torch.equal((moved - 0.5).sign(), (image - before).sign())


def test_movements_are_drawn_with_three_lengths_of_one_direction():
    draws = [draw for draw in draw_appearance(random.Random(0), 100, 1.0) if draw.movements]
    assert 10 < len(draws) < 30
    for draw in draws:
        angles = [math.atan2(*way) for way in draw.movements]
        assert max(angles) - min(angles) < 1e-6
        assert all(0.005 <= math.hypot(*way) <= 0.03 for way in draw.movements)
    image = torch.rand(100, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    changed = change_appearance(image[: len(draws)], tuple(draws))
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed.flatten(1).std(1).min() > 0.05  # nothing is blank


def test_a_picture_without_any_contrast_stays_grey():
    change = AppearanceChange(True, ((0.0, 1.0),), ((0.1, 0.1),) * 3)
    changed = change_appearance(torch.full((1, 3, 8, 8), 0.3), (change,))
    torch.testing.assert_close(changed, torch.full((1, 3, 8, 8), 0.5))


def test_probability():
    draws = draw_appearance(random.Random(0), 1000, 0.3)
    assert 250 < sum(draw is not None for draw in draws) < 350
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(change_appearance(image, (None,)), image)
