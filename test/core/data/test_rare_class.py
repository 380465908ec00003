from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import pytest

from madm_core.data.rare_class import RareClassSampler, class_probabilities, count_classes, crop_until_present
from madm_core.errors import DataError


@pytest.mark.parametrize("temperature", ["0.01", "0.1", "1.0"])
def test_probabilities_equal_the_reference(golden, temperature):
    numbers = np.load(golden / "rcs.npz")
    pictures = json.loads(str(numbers["stats_json"][0] if numbers["stats_json"].ndim else numbers["stats_json"]))
    counts = [{int(key): value for key, value in picture.items() if key != "file"} for picture in pictures]
    classes, probabilities = class_probabilities(counts, float(temperature))
    assert classes == tuple(numbers[f"classes_T{temperature}"].tolist())
    np.testing.assert_allclose(probabilities, numbers[f"probs_T{temperature}"], rtol=1e-4, atol=1e-30)


def test_draw_follows_the_probabilities_and_the_minimum():
    counts = [{0: 900, 1: 50}, {0: 800, 1: 200}, {0: 10}]
    sampler = RareClassSampler.from_counts(counts, temperature=0.5, min_pixels=100)
    rng = random.Random(0)
    draws = Counter(sampler.draw(rng) for _ in range(4000))
    assert set(draws) == {(1, 1), (0, 0), (0, 1)}
    _, probabilities = class_probabilities(counts, 0.5)
    assert draws[1, 1] / 4000 == pytest.approx(probabilities[0], abs=0.03)


def test_a_class_that_no_picture_shows_enough_is_never_drawn():
    sampler = RareClassSampler.from_counts([{0: 900, 1: 5}], temperature=0.01, min_pixels=100)
    assert sampler.classes == (0,) and sampler.draw(random.Random(1)) == (0, 0)


def test_counts_leave_out_ignored_pixels():
    assert count_classes(np.array([[0, 0], [7, 255]], np.uint8)) == {0: 2, 7: 1}


def test_crop_is_redrawn_until_the_class_shows():
    crops = [np.full((2, 2), value, np.uint8) for value in (0, 0, 5, 0)]
    drawn = []

    def draw_crop():
        drawn.append(crops[len(drawn)])
        return drawn[-1], drawn[-1]

    _, labels = crop_until_present(draw_crop, 5, min_pixels=3)
    assert len(drawn) == 3 and (labels == 5).all()


def test_the_last_redraw_is_taken_unseen():
    calls = []

    def draw_crop():
        calls.append(1)
        return np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8)

    crop_until_present(draw_crop, 5, min_pixels=0, redraws=10)
    assert len(calls) == 11


@pytest.mark.parametrize("counts", [[{}], [{0: 5}]])
def test_nothing_to_draw_is_an_error(counts):
    with pytest.raises(DataError, match="nothing to draw from"):
        RareClassSampler.from_counts(counts, temperature=0.01, min_pixels=100)
