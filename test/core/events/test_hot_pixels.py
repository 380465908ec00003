"""Pixels that fire on their own."""

from __future__ import annotations

import numpy as np

from madm_core.events.event_array import as_words
from madm_core.events.hot_pixels import HotPixelSearch, find_hot_pixels


def test_hot_is_far_above_the_median():
    counts = np.random.default_rng(0).poisson(10, (20, 20))
    counts[3, 4] = 500
    counts[5, 6] = 60  # busy, not hot
    assert np.argwhere(find_hot_pixels(counts)).tolist() == [[3, 4]]
    assert not find_hot_pixels(np.zeros((3, 3))).any()
    assert not find_hot_pixels(np.eye(3) * 40).any()


def test_the_search_ends_after_its_duration(random_events):
    search = HotPixelSearch(16, 16, 1000)
    events = random_events(3000, 16, 16, 900)
    events["x"][::4], events["y"][::4] = 2, 3
    assert search.add(as_words(events)) is None
    hot = search.add(as_words(random_events(10, 16, 16, 10, t_first=1990)))
    assert hot is not None and np.argwhere(hot).tolist() == [[3, 2]]
