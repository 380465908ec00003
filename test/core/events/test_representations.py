"""Histograms, time surfaces and pictures against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madm_core.events import events_to_image, polarity_histogram, time_surface
from madm_core.events.event_array import as_words
from madm_core.events.representations import VoxelGridRenderer, make_renderer


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 300))
def test_against_plain_loops(random_events, seed, count):
    events = random_events(count, 9, 12, 700, seed)
    columns = [events[name] for name in ("x", "y", "t", "p")]
    counts = np.zeros((2, 8, 11))
    latest = np.zeros((2, 8, 11))
    for x, y, t, p in events.tolist():
        if x < 11 and y < 8:
            counts[p, y, x] += 1
            latest[p, y, x] = np.exp((t - 800) / 100.0)
    np.testing.assert_array_equal(polarity_histogram(*columns, height=8, width=11), counts)
    surface = time_surface(*columns, height=8, width=11, tau=100.0, t_reference=800)
    np.testing.assert_allclose(surface, latest, rtol=1e-6)


def test_a_surface_is_seen_from_its_last_event(random_events):
    events = random_events(50, 8, 8, 500)
    surface = time_surface(events["x"], events["y"], events["t"], events["p"], height=8, width=8, tau=50.0)
    assert surface.max() == 1 and surface.min() == 0


def test_pictures_are_white_blue_and_red():
    image = events_to_image([1, 2], [0, 0], [1, 0], height=2, width=4)
    assert image.shape == (2, 4, 3) and image.dtype == np.uint8
    assert image[1, 1].tolist() == [255, 255, 255]
    assert image[0, 1].tolist() == [128, 128, 255] and image[0, 2].tolist() == [255, 128, 128]


@pytest.mark.parametrize("name", ["voxel_grid", "polarity_histogram", "time_surface"])
def test_renderers_count_what_is_outside(name, random_events):
    events = random_events(100, 8, 8, 500)
    events["y"][:5] = 8
    renderer = make_renderer(name, 3, 8, 8)
    grid, count = renderer.render(as_words(events), 0, 500)
    assert grid.shape == (3 if name == "voxel_grid" else 2, 8, 8) and grid.any()
    assert (count, renderer.out_of_frame) == (95, 5)


def test_windows_too_long_for_integer_sums(random_events, reference_grid):
    events = random_events(500, 8, 8, 10**14)
    events["y"][:5] = 8
    grid, count = VoxelGridRenderer(4, 8, 8).render(as_words(events), 0, 10**14)
    np.testing.assert_allclose(grid, reference_grid(events, 4, 8, 8, 0, 10**14), atol=1e-5)
    assert count == 495
