from __future__ import annotations

import random

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
    draws = draw_appearance(random.Random(0), 200, 1.0)
    changed = change_appearance(image, draws)
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6
    spans = changed.flatten(1).amax(1) - changed.flatten(1).amin(1)
    assert spans.min() >= 0.5 - 1e-4
    assert {len(draw.curves) for draw in draws} == {1, 3}
    slopes = torch.diff(changed[:, 0, 0], dim=1)
    monotone = ((slopes >= -1e-6).all(1) | (slopes <= 1e-6).all(1)).float().mean()
    assert 0.2 < monotone < 0.8


def test_probability():
    draws = draw_appearance(random.Random(0), 1000, 0.3)
    assert 250 < sum(draw is not None for draw in draws) < 350
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(change_appearance(image, (None,)), image)
