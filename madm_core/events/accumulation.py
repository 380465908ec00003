"""Kernels that add arrays of events to a voxel grid, in blocks whose arithmetic the compiler vectorises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import kernel
from madm_core.events.event_blocks import (
    EVENTS_AT_ONCE,
    NOWHERE,
    add_narrow_block,
    add_wide_block,
    map_pixels,
    new_singles,
)
from madm_core.events.folding import fold
from madm_core.events.packed_sums import NARROW_UNIT
from madm_core.events.prefetching import prefetch, prefetch_rows
from madm_core.events.registers import (
    FOLD_AFTER,
    HEIGHT,
    NARROW,
    REFERENCE,
    SEGMENT_START,
    SEGMENT_STOP,
    SINCE_FOLD,
    TICK_MASK,
    TIME_BITS,
    TURNS,
    WIDTH,
)
from madm_core.events.segments import MAX_TICKS, add_singly

AHEAD = np.uint64(2 * EVENTS_AT_ONCE)
"""How far ahead events are asked for from memory: the processor itself looks ahead only while they are being read."""
SUM_BYTES = np.uint64(4)
ON = 1 << 32  # the polarity bit of an event word; bytes beyond it are padding with any content
MAX_TURNS = 32
"""Steps back to an earlier segment after which sorting the rest is quicker than folding at each."""


@kernel
def accumulate_words(
    events: NDArray[np.int64],
    start: int,
    stop_tick: int,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> int:
    """Add EVENT_DTYPE events, as (N, 2) int64 words, from ``start`` until one is at or after ``stop_tick``.

    Args:
        events: See :func:`madm_core.events.event_array.as_words`.
        start: First event to add.
        stop_tick: First tick that does not belong to the window.
        pixel_map: (H * W,) int32 index of the grid's pixel for each sensor pixel, ``grid.shape[1]`` to drop the
            event; or empty for the identity.
        registers: See the module registers.
        sums: 32-bit words, see the function ``fold``.
        wide: 64-bit words.
        grid: (bins, pixels) float32.

    Returns:
        Index of the first event that was not added.
    """
    width = np.uint32(registers[WIDTH])
    height = np.uint32(registers[HEIGHT])
    narrow = registers[NARROW] != 0
    wide_unit = np.int64(1) << registers[TIME_BITS]
    xs, ys, times, signs = new_singles()
    places = np.empty(EVENTS_AT_ONCE, np.int64)
    pixels = np.empty(EVENTS_AT_ONCE, np.uint32)
    values = np.empty(EVENTS_AT_ONCE, np.uint32)
    wide_values = np.empty(EVENTS_AT_ONCE, np.int64)
    n = events.shape[0]
    i = start
    while i < n:
        first = registers[SEGMENT_START]
        length = np.uint64(max(0, min(registers[SEGMENT_STOP], stop_tick) - first))
        strangers = np.int64(1)
        if n - i >= EVENTS_AT_ONCE:
            here = np.uint64(i)
            prefetch_rows(events, here + AHEAD, EVENTS_AT_ONCE)
            for j in range(EVENTS_AT_ONCE):  # in one loop: read apart, the compiler would gather them one by one
                times[j] = events[here + np.uint64(j), 0]
                places[j] = events[here + np.uint64(j), 1]
            strangers = np.int64(0)
            for j in range(EVENTS_AT_ONCE):
                strangers += np.uint64(times[j] - first) >= length
            if strangers == 0:
                middle = registers[REFERENCE]
                tick_mask = registers[TICK_MASK]
                outside = np.int64(0)
                for j in range(EVENTS_AT_ONCE):
                    word = places[j]
                    x = np.uint32(word & 0xFFFF)
                    y = np.uint32((word >> 16) & 0xFFFF)
                    off = (x >= width) | (y >= height)
                    pixels[j] = NOWHERE if off else y * width + x
                    outside += off
                map_pixels(pixels, outside, pixel_map, registers, grid)
                if narrow:
                    for j in range(EVENTS_AT_ONCE):
                        prefetch(sums, np.uint64(pixels[j]) * SUM_BYTES)
                    for j in range(EVENTS_AT_ONCE):
                        value = np.uint32(NARROW_UNIT + ((times[j] - middle) & tick_mask))
                        values[j] = value if places[j] & ON else np.uint32(0) - value
                    add_narrow_block(pixels, values, registers, sums, wide)
                else:
                    for j in range(EVENTS_AT_ONCE):
                        wide_value = wide_unit + ((times[j] - middle) & tick_mask)
                        wide_values[j] = wide_value if places[j] & ON else -wide_value
                    add_wide_block(pixels, wide_values, wide)
                i += EVENTS_AT_ONCE
        if strangers > 0:
            count = min(EVENTS_AT_ONCE, n - i)
            for j in range(count):
                word = events[i + j, 1]
                times[j], xs[j], ys[j] = events[i + j, 0], word & 0xFFFF, (word >> 16) & 0xFFFF
                signs[j] = 1 if word & ON else -1
            added = add_singly(count, xs, ys, times, signs, stop_tick, pixel_map, registers, sums, wide, grid)
            i += added
            if added < count:
                return i
        if registers[SINCE_FOLD] >= registers[FOLD_AFTER]:
            fold(registers, sums, wide, grid)
    return i


@kernel
def accumulate_columns(
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    t: NDArray[np.int64],
    p: NDArray[np.uint8],
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> int:
    """Add the events of four (N,) integer arrays; see :func:`accumulate_words`. ``p`` > 0 is ON.

    Returns:
        Index of the first event that was not added: the number of events, unless times keep going back.
    """
    width = np.uint32(registers[WIDTH])
    height = np.uint32(registers[HEIGHT])
    narrow = registers[NARROW] != 0
    wide_unit = np.int64(1) << registers[TIME_BITS]
    xs, ys, times, signs = new_singles()
    pixels = np.empty(EVENTS_AT_ONCE, np.uint32)
    values = np.empty(EVENTS_AT_ONCE, np.uint32)
    wide_values = np.empty(EVENTS_AT_ONCE, np.int64)
    n = t.shape[0]
    i = 0
    while i < n:
        first = registers[SEGMENT_START]
        length = np.uint64(registers[SEGMENT_STOP] - first)
        strangers = np.int64(1)
        if n - i >= EVENTS_AT_ONCE:
            here = np.uint64(i)
            prefetch_rows(x, here + AHEAD, EVENTS_AT_ONCE)
            prefetch_rows(y, here + AHEAD, EVENTS_AT_ONCE)
            prefetch_rows(t, here + AHEAD, EVENTS_AT_ONCE)
            prefetch_rows(p, here + AHEAD, EVENTS_AT_ONCE)
            strangers = np.int64(0)
            for j in range(EVENTS_AT_ONCE):
                strangers += np.uint64(t[here + np.uint64(j)] - first) >= length
            if strangers == 0:
                middle = registers[REFERENCE]
                tick_mask = registers[TICK_MASK]
                outside = np.int64(0)
                for j in range(EVENTS_AT_ONCE):
                    # A negative coordinate becomes a huge one.
                    block_column = np.uint32(x[here + np.uint64(j)])
                    block_row = np.uint32(y[here + np.uint64(j)])
                    off = (block_column >= width) | (block_row >= height)
                    pixels[j] = NOWHERE if off else block_row * width + block_column
                    outside += off
                map_pixels(pixels, outside, pixel_map, registers, grid)
                if narrow:
                    for j in range(EVENTS_AT_ONCE):
                        prefetch(sums, np.uint64(pixels[j]) * SUM_BYTES)
                    for j in range(EVENTS_AT_ONCE):
                        value = np.uint32(NARROW_UNIT + ((t[here + np.uint64(j)] - middle) & tick_mask))
                        values[j] = value if p[here + np.uint64(j)] > 0 else np.uint32(0) - value
                    add_narrow_block(pixels, values, registers, sums, wide)
                else:
                    for j in range(EVENTS_AT_ONCE):
                        wide_value = wide_unit + ((t[here + np.uint64(j)] - middle) & tick_mask)
                        wide_values[j] = wide_value if p[here + np.uint64(j)] > 0 else -wide_value
                    add_wide_block(pixels, wide_values, wide)
                i += EVENTS_AT_ONCE
        if strangers > 0:
            count = min(EVENTS_AT_ONCE, n - i)
            for j in range(count):
                times[j], xs[j], ys[j] = t[i + j], np.int64(x[i + j]), np.int64(y[i + j])
                signs[j] = 1 if p[i + j] > 0 else -1
            i += add_singly(count, xs, ys, times, signs, MAX_TICKS, pixel_map, registers, sums, wide, grid)
        if registers[SINCE_FOLD] >= registers[FOLD_AFTER]:
            fold(registers, sums, wide, grid)
        if registers[TURNS] > MAX_TURNS:
            break
    return i


@kernel
def accumulate_float(
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    position: NDArray[np.float64],
    p: NDArray[np.uint8],
    grid: NDArray[np.float64],
) -> int:
    """Add events at real-valued bin positions (N,) to a (bins, H, W) float64 grid; returns how many fell outside it.

    For times that are not integers, and windows too long for integer sums.
    """
    bins, height, width = grid.shape
    outside = 0
    for i in range(position.shape[0]):
        ex = np.int64(x[i])
        ey = np.int64(y[i])
        if ex < 0 or ex >= width or ey < 0 or ey >= height:
            outside += 1
            continue
        if not -1.0 < position[i] < bins:
            continue
        sign = 1.0 if p[i] > 0 else -1.0
        lower = int(np.floor(position[i]))
        weight = position[i] - lower
        if lower >= 0:
            grid[lower, ey, ex] += sign * (1.0 - weight)
        if lower + 1 < bins:
            grid[lower + 1, ey, ex] += sign * weight
    return outside
