"""The accelerator's voxel grid against the definition in float64, on CPU tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from madm_core.events import scatter_grid
from madm_core.events.scatter_grid import scatter_voxel_grid

TOLERANCE = {"atol": 1e-5, "rtol": 1e-6}


def tensors(events: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(events[name].astype(np.int64)) for name in ("x", "y", "t", "p")]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 700), bins=st.integers(1, 6), data=st.data())
def test_any_events_and_bounds(reference_grid, random_events, seed, count, bins, data):
    duration = data.draw(st.sampled_from([1, 7, 1000, 3_000_000]))
    first = data.draw(st.sampled_from([0, -5000, 1_700_000_000_000_000]))
    events = random_events(count, 13, 20, duration, t_first=first, seed=seed)
    events = events[np.random.default_rng(seed).permutation(count)]
    low = first + data.draw(st.integers(-10, duration))
    high = low + data.draw(st.integers(1, duration + 10))
    grid = scatter_voxel_grid(*tensors(events), bins=bins, height=11, width=17, t_start=low, t_end=high)
    assert grid.dtype == torch.float32 and grid.shape == (bins, 11, 17)
    np.testing.assert_allclose(grid.numpy(), reference_grid(events, bins, 11, 17, low, high), **TOLERANCE)


@pytest.mark.parametrize("bins", [1, 4])
def test_chunks(reference_grid, random_events, monkeypatch, bins):
    monkeypatch.setattr(scatter_grid, "EVENTS_AT_ONCE", 7)
    events = random_events(50, 11, 17, 1000, t_first=-300)
    grid = scatter_voxel_grid(*tensors(events), bins=bins, height=11, width=17, t_start=-300, t_end=700)
    np.testing.assert_allclose(grid.numpy(), reference_grid(events, bins, 11, 17, -300, 700), **TOLERANCE)


@pytest.mark.parametrize(("epoch", "start", "length"), [(2**60, 256.0, 51200.0), (2**50, 300.25, 40_000.5)])
def test_whole_times_since_1970_keep_their_digits_beside_a_start_in_floating_point(
    reference_grid, random_events, epoch, start, length
):
    """In single precision, which torch makes of integers minus a float, they would be minutes apart."""
    events = random_events(200, 11, 17, 100_000)
    expected = reference_grid(events, 4, 11, 17, start, start + length)
    events["t"] += epoch
    low = epoch + start
    assert low - epoch == start  # a float can hold it
    grid = scatter_voxel_grid(*tensors(events), bins=4, height=11, width=17, t_start=low, t_end=low + length)
    np.testing.assert_allclose(grid.numpy(), expected, **TOLERANCE)


def test_times_of_single_precision_lose_nothing_more():
    """1000.25 is one, 1000.2 is not: in single precision they would be 0.049988 apart."""
    times = torch.tensor([1000.25], dtype=torch.float32)
    pixel = torch.zeros(1, dtype=torch.int64)
    grid = scatter_voxel_grid(pixel, pixel, times, pixel + 1, bins=2, height=1, width=1, t_start=1000.2, t_end=1000.3)
    np.testing.assert_allclose(grid.flatten().numpy(), [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize(("bins", "taken"), [(1, 4), (3, 3)])
def test_a_window_without_length(dtype, bins, taken):
    pixels, times = torch.tensor([1, 1, 1, 1]), torch.tensor([7, 8, 8, 8], dtype=dtype)
    grid = scatter_voxel_grid(pixels, pixels, times, torch.ones(4), bins=bins, height=4, width=5, t_start=8, t_end=8)
    assert grid[0, 1, 1] == taken and grid.sum() == taken


def test_what_is_outside_the_frame_is_dropped():
    x, y = torch.tensor([-1, 5, 0, 0, 4]), torch.tensor([0, 0, -1, 4, 3])
    grid = scatter_voxel_grid(x, y, torch.arange(5), torch.ones(5), bins=2, height=4, width=5, t_start=0, t_end=4)
    assert grid.sum() == 1 and grid[1, 3, 4] == 1


@pytest.mark.parametrize(
    "polarities", [[0, 1, 1, 0], [-1, 1, 1, -1], [False, True, True, False], [-0.5, 0.5, 9.0, 0.0]]
)
def test_polarities(polarities):
    x = torch.arange(4)
    grid = scatter_voxel_grid(x, x * 0, x * 0, torch.tensor(polarities), bins=2, height=1, width=4, t_start=0, t_end=1)
    assert grid[0, 0].tolist() == [-1, 1, 1, -1] and not grid[1].any()
