"""Grids from events that arrive in pieces."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from madm_core.events import PixelMap
from madm_core.events.event_array import as_words
from madm_core.events.grid_accumulator import GridAccumulator


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    pieces=st.lists(st.integers(1, 200), min_size=1, max_size=12),
    bins=st.integers(1, 7),
    duration=st.sampled_from([3, 900, 50_000]),
    swaps=st.integers(0, 5),
)
def test_pieces_and_order_do_not_matter(reference_grid, random_events, seed, pieces, bins, duration, swaps):
    events = random_events(sum(pieces), 9, 13, duration, seed, t_first=10**12)
    rng = np.random.default_rng(seed)
    for _ in range(swaps):  # a few events out of order
        i, j = rng.integers(0, len(events), 2)
        events[[i, j]] = events[[j, i]]
    accumulator = GridAccumulator(bins, 9, 13)
    accumulator.begin(10**12, 10**12 + duration)
    position = 0
    for piece in pieces:
        accumulator.add(as_words(events[position : position + piece].copy()), 0)
        position += piece
    expected = reference_grid(events, bins, 9, 13, 10**12, 10**12 + duration)
    np.testing.assert_allclose(accumulator.finish(), expected, atol=1e-5, rtol=1e-6)
    assert accumulator.events == len(events)


def test_windows_in_turn_hold_nothing_of_each_other(reference_grid, random_events):
    accumulator = GridAccumulator(4, 16, 16)
    for window in range(8):
        events = random_events(37 * (window % 3), 16, 16, 1000, seed=window, t_first=window * 1000)
        accumulator.begin(window * 1000, (window + 1) * 1000)
        accumulator.add(as_words(events), 0)
        expected = reference_grid(events, 4, 16, 16, window * 1000, (window + 1) * 1000)
        np.testing.assert_allclose(accumulator.finish(), expected, atol=1e-5, rtol=1e-6)


def test_finished_grids_stay_while_they_are_referred_to(random_events):
    accumulator = GridAccumulator(2, 8, 8)
    grids = []
    for window in range(6):
        accumulator.begin(0, 1000)
        accumulator.add(as_words(random_events(50, 8, 8, 1000, seed=window)), 0)
        grids.append((accumulator.finish(), window))
    for grid, window in grids:
        accumulator.begin(0, 1000)
        accumulator.add(as_words(random_events(50, 8, 8, 1000, seed=window)), 0)
        np.testing.assert_array_equal(grid, accumulator.finish())
        assert not grid.flags.writeable


def test_adding_stops_at_the_windows_end(random_events):
    events = random_events(1000, 8, 8, 1000)
    accumulator = GridAccumulator(2, 8, 8)
    accumulator.begin(0, 500)
    stop = accumulator.add(as_words(events), 0, 500)
    assert stop == np.searchsorted(events["t"], 500) == accumulator.events
    accumulator.begin(500, 1000)
    assert accumulator.add(as_words(events), 0) == 1000
    assert (accumulator.events, accumulator.out_of_time) == (1000 - stop, stop)


def test_discarded_events_leave_nothing_behind(random_events):
    accumulator = GridAccumulator(2, 8, 8)
    accumulator.begin(0, 1000)
    accumulator.add(as_words(random_events(100, 8, 8, 400)), 0)
    accumulator.begin(0, 1000)
    assert not accumulator.finish().any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), crop=st.booleans(), count=st.integers(1, 3000))
def test_pixel_maps(reference_grid, random_events, seed, crop, count):
    rng = np.random.default_rng(seed)
    height, width = 12, 15
    events = random_events(count, height + 2, width + 2, 900, seed)
    rectify_map = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1) + rng.normal(
        0, 1.5, (height, width, 2)
    )
    hot = rng.random((height, width)) < 0.1
    region = (2, 3, 9, 8)
    pixel_map = PixelMap.build(height, width, hot_pixels=hot, region=region, rectify_map=rectify_map, crop=crop)
    moved = events[(events["x"] < width) & (events["y"] < height)].copy()
    outside = len(events) - len(moved)
    target = np.rint(rectify_map[moved["y"], moved["x"]]).astype(int)
    keep = ~hot[moved["y"], moved["x"]] & (target >= (2, 3)).all(axis=1) & (target < (11, 11)).all(axis=1)
    moved, target = moved[keep], target[keep] - ((2, 3) if crop else (0, 0))
    moved["x"], moved["y"] = target[:, 0], target[:, 1]
    accumulator = GridAccumulator(3, height, width, pixel_map)
    accumulator.begin(0, 900)
    accumulator.add(as_words(events), 0)
    expected = reference_grid(moved, 3, *((8, 9) if crop else (height, width)), 0, 900)
    np.testing.assert_allclose(accumulator.finish(), expected, atol=1e-5, rtol=1e-6)
    assert (accumulator.events, accumulator.out_of_frame) == (len(moved), outside)
    mapped = pixel_map.apply(as_words(events))
    assert len(mapped) == len(moved)
    assert (mapped[:, 1] & 0xFFFF).tolist() == moved["x"].tolist()
