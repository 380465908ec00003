"""Sums that outgrow their 32 bits, and that their results do not depend on when they do."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.events import voxel_grid
from madm_core.events.event_array import make_events
from madm_core.events.grid_accumulator import GridAccumulator
from madm_core.events.grid_memory import new_sums
from madm_core.events.packed_sums import (
    EMPTY,
    HALF_USED,
    MAX_REACH,
    NARROW_UNIT,
    signs_of,
    spill,
    take,
    time_bits,
    times_of,
    unchecked_events,
)
from madm_core.events.registers import REGISTERS, SPILLED, TIME_BITS


@pytest.mark.parametrize(("signs", "times"), [(0, 0), (1, -7), (-256, (1 << 20) - 1), (255, -(1 << 20)), (3, 99_999)])
def test_a_word_holds_both_sums(signs, times):
    sums, wide = new_sums(1)
    sums[0] = (int(EMPTY) + signs * NARROW_UNIT + times) % (1 << 32)
    assert (signs_of(sums[0]), times_of(sums[0])) == (signs, times)
    assert take(sums, wide, 0, 40) == (signs, times)
    assert sums[0] == EMPTY


@pytest.mark.parametrize("reach", [1, 12_502, 100_000, MAX_REACH, 12_500_002, 500_000_002, 10**11])
def test_a_long_word_holds_as_many_events_as_it_says(reach):
    """The extremes of both sums, and no other share of the times would hold more."""
    bits, events = time_bits(reach)
    for signs in (events, -events):
        for times in (events * reach, -events * reach):
            sums, wide = new_sums(1)
            wide[0] = (signs << bits) + times
            assert take(sums, wide, 0, bits) == (signs, times)
            assert wide[0] == 0
    others = [min(((1 << (b - 1)) - 1) // reach, (1 << (63 - b)) - 1) for b in range(40, 52)]
    assert events == max(others)


def test_microseconds_and_nanoseconds_get_different_shares():
    """Half a million events of 50 ms in nanoseconds fit, where a share of 40 bits was full after 44,000."""
    assert time_bits(12_502) == (40, (1 << 23) - 1)
    assert time_bits(12_500_002) == (44, (1 << 19) - 1)


@pytest.mark.parametrize("bins", [1, 3])
def test_nanoseconds_of_one_busy_pixel_stay_exact(reference_grid, bins):
    """More than any share of 64 bits takes without folding, all on one side of the middle and of one sign."""
    t = np.sort(np.random.default_rng(0).integers(0, 12_000_000, 1_200_000))
    zeros = np.zeros(len(t), np.uint16)
    events = make_events(zeros, zeros, t, zeros + 1)
    grid = voxel_grid(zeros, zeros, t, zeros + 1, bins=bins, height=1, width=1, t_start=0, t_end=50_000_000)
    expected = reference_grid(events, bins, 1, 1, 0, 50_000_000)
    np.testing.assert_allclose(grid.numpy(), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("reach", [1, 4096, 4097, 6252, 12_502, 100_000, MAX_REACH])
def test_unchecked_events_never_leave_a_word(reach):
    """From the fullest words that pass a check, in every direction."""
    events = unchecked_events(reach)
    assert events & (events - 1) == 0 and 4 <= events <= 256
    for signs, times in ((255, (1 << 20) - 1), (255, -(1 << 20)), (-256, (1 << 20) - 1), (-256, -(1 << 20))):
        assert (int(EMPTY) + signs * NARROW_UNIT + times) % (1 << 32) & int(HALF_USED) == 0
        for sign in (1, -1):
            for distance in (reach, -reach):
                more = signs + events * sign, times + events * sign * distance
                word = np.uint32((int(EMPTY) + more[0] * NARROW_UNIT + more[1]) % (1 << 32))
                assert (signs_of(word), times_of(word)) == more


def busy_events(count: int, seed: int) -> np.ndarray:
    """Events of a 5x6 sensor of which three quarters are of one pixel, with signs that follow time."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 50_000, count))
    hot = rng.random(count) < 0.75
    x, y = np.where(hot, 2, rng.integers(0, 6, count)), np.where(hot, 1, rng.integers(0, 5, count))
    return make_events(x, y, t, np.where(hot, t % 12_500 > 6250, rng.random(count) < 0.5))


@pytest.mark.parametrize("bins", [1, 2, 5, 15])
@pytest.mark.parametrize("count", [5000, 60_000])
def test_busy_pixels_stay_exact_in_any_order(reference_grid, bins, count):
    events = busy_events(count, seed=bins)
    options = {"bins": bins, "height": 5, "width": 6, "t_start": 0, "t_end": 50_000}
    columns = [np.ascontiguousarray(events[name]) for name in ("x", "y", "t", "p")]
    grid = voxel_grid(*columns, **options).numpy()
    expected = reference_grid(events, bins, 5, 6, 0, 50_000)
    # A bin is the sum of two segments' float32 shares, which are large for the busy pixel and may cancel.
    np.testing.assert_allclose(grid, expected, atol=1e-5 + 2e-7 * np.abs(expected).max(), rtol=0)
    # Within segments, so that no segment is come back to: 50 ms of 2, 4 or 14 segments.
    segment = events["t"].astype(np.int64) * max(1, bins - 1) // 50_000
    order = np.lexsort((np.random.default_rng(1).random(count), segment))
    shuffled = [column[order] for column in columns]
    np.testing.assert_array_equal(voxel_grid(*shuffled, **options).numpy(), grid)


@pytest.mark.parametrize("each", [600, 6000], ids=["noted", "more than there is room to note"])
def test_several_busy_pixels_stay_exact(reference_grid, each):
    """Five of 256 pixels fill their short words, of which 32 can be noted, some times in each segment."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 50_000, 10 * each))
    pixels = rng.choice([0, 7, 100, 101, 255], len(t))
    events = make_events(pixels % 16, pixels // 16, t, np.ones(len(t), np.uint8))
    columns = [np.ascontiguousarray(events[name]) for name in ("x", "y", "t", "p")]
    grid = voxel_grid(*columns, bins=3, height=16, width=16, t_start=0, t_end=50_000).numpy()
    expected = reference_grid(events, 3, 16, 16, 0, 50_000)
    np.testing.assert_allclose(grid, expected, atol=1e-5 + 2e-7 * np.abs(expected).max(), rtol=0)


def test_notes_of_full_words_stay_in_their_room():
    sums, wide = new_sums(80)
    memory = np.zeros(len(wide) + 1, np.int64)
    registers = np.zeros(REGISTERS, np.int64)
    registers[TIME_BITS] = 40
    room = 80 // 8
    for spilled in range(1, room + 3):
        spill(registers, sums, memory[:-1], np.uint32(3))
        assert registers[SPILLED] == spilled
        assert (memory[81:] == 3).sum() == min(spilled, room)
    assert memory[-1] == 0


def test_many_unwanted_events_reach_no_pixel(reference_grid):
    """All events that lie outside the sensor share one word, which overflows too."""
    events = busy_events(40_000, 3)
    events["x"][events["x"] == 2] = 6
    columns = [np.ascontiguousarray(events[name]) for name in ("x", "y", "t", "p")]
    grid = voxel_grid(*columns, bins=4, height=5, width=6, t_start=0, t_end=50_000).numpy()
    expected = reference_grid(events, 4, 5, 6, 0, 50_000)
    np.testing.assert_allclose(grid, expected, atol=1e-5 + 2e-7 * np.abs(expected).max(), rtol=0)


def test_a_discarded_window_leaves_no_sums_of_either_size():
    accumulator = GridAccumulator(3, 5, 6)
    events = busy_events(8000, 0)
    for _ in range(2):
        accumulator.begin(0, 50_000)
        accumulator.add(events.view(np.int64).reshape(-1, 2), 0)
    accumulator.begin(0, 50_000)
    assert not accumulator.finish().any()
