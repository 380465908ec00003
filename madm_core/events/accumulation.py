"""Kernels that add arrays of events to a voxel grid, in blocks whose arithmetic the compiler vectorises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel
from madm_core.events.prefetching import prefetch
from madm_core.events.segments import EVENTS_AT_ONCE, NOWHERE, ON, UNIT, add_one, fold

MAX_TURNS = 32
"""Steps back to an earlier segment after which sorting the rest is quicker than folding at each."""


@kernel
def fetch_ahead(
    pixels: NDArray[np.uint32], outside: Scalar, pixel_map: NDArray[np.int32], sums: NDArray[np.int64]
) -> None:
    """Prefetch the sums of EVENTS_AT_ONCE prepared events, unless their pixels are still to be mapped."""
    if outside == 0 and pixel_map.shape[0] == 0:
        for j in range(EVENTS_AT_ONCE):
            prefetch(sums, np.uint64(pixels[j]))


@kernel
def add_block(
    pixels: NDArray[np.uint32],
    values: NDArray[np.int64],
    outside: Scalar,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> None:
    """Add EVENTS_AT_ONCE prepared events, ``outside`` of which lie off the sensor and have the pixel index NOWHERE."""
    masked = np.int64(0)
    if pixel_map.shape[0] > 0:
        drop = np.uint32(grid.shape[1])
        for j in range(EVENTS_AT_ONCE):
            target = drop
            if pixels[j] != NOWHERE:
                target = np.uint32(pixel_map[pixels[j]])
                masked += target == drop
            pixels[j] = target
    elif outside > 0:
        drop = np.uint32(grid.shape[1])
        for j in range(EVENTS_AT_ONCE):
            pixels[j] = min(pixels[j], drop)
    for j in range(EVENTS_AT_ONCE):
        sums[pixels[j]] += values[j]
    registers[10] += outside
    registers[12] += masked
    registers[9] += EVENTS_AT_ONCE - outside - masked
    registers[7] += EVENTS_AT_ONCE


@kernel
def accumulate_words(
    events: NDArray[np.int64],
    start: int,
    stop_tick: int,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> int:
    """Add EVENT_DTYPE events, as (N, 2) int64 words, from ``start`` until one is at or after ``stop_tick``.

    Args:
        events: See :func:`madm_core.events.event_array.as_words`.
        start: First event to add.
        stop_tick: First tick that does not belong to the window.
        pixel_map: (H * W,) int32 index of the grid's pixel for each sensor pixel, ``grid.shape[1]`` to drop the
            event; or empty for the identity.
        registers: See the module segments; and so its function ``fold`` for the others.
        sums: Packed sums.
        grid: (bins, pixels) float32.

    Returns:
        Index of the first event that was not added.
    """
    width = np.uint32(registers[14])
    height = np.uint32(registers[15])
    pixels = np.empty(EVENTS_AT_ONCE, np.uint32)
    values = np.empty(EVENTS_AT_ONCE, np.int64)
    n = events.shape[0]
    i = start
    while i < n:
        first = registers[4]
        length = min(registers[5], stop_tick) - first
        strangers = np.int64(1)
        if n - i >= EVENTS_AT_ONCE:
            block = events[i : i + EVENTS_AT_ONCE]
            strangers = np.int64(0)
            for j in range(EVENTS_AT_ONCE):
                d = block[j, 0] - first
                strangers += (d < 0) | (d >= length)
            if strangers == 0:
                middle = registers[6]
                tick_mask = registers[13]
                outside = np.int64(0)
                for j in range(EVENTS_AT_ONCE):
                    word = block[j, 1]
                    x = np.uint32(word & 0xFFFF)
                    y = np.uint32((word >> 16) & 0xFFFF)
                    off = (x >= width) | (y >= height)
                    pixels[j] = NOWHERE if off else y * width + x
                    outside += off
                fetch_ahead(pixels, outside, pixel_map, sums)
                for j in range(EVENTS_AT_ONCE):
                    value = UNIT + ((block[j, 0] - middle) & tick_mask)
                    values[j] = value if block[j, 1] & ON else -value
                add_block(pixels, values, outside, pixel_map, registers, sums, grid)
                i += EVENTS_AT_ONCE
        if strangers > 0:
            for _ in range(min(EVENTS_AT_ONCE, n - i)):
                t = events[i, 0]
                if t >= stop_tick:
                    return i
                word = events[i, 1]
                sign = 1 if word & ON else -1
                add_one(word & 0xFFFF, (word >> 16) & 0xFFFF, t, sign, pixel_map, registers, sums, grid)
                i += 1
        if registers[7] >= registers[8]:
            fold(registers, sums, grid)
    return i


@kernel
def accumulate_columns(
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    t: NDArray[np.int64],
    p: NDArray[np.uint8],
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> int:
    """Add the events of four (N,) integer arrays; see :func:`accumulate_words`. ``p`` > 0 is ON.

    Returns:
        Index of the first event that was not added: the number of events, unless times keep going back.
    """
    width = np.uint32(registers[14])
    height = np.uint32(registers[15])
    pixels = np.empty(EVENTS_AT_ONCE, np.uint32)
    values = np.empty(EVENTS_AT_ONCE, np.int64)
    n = t.shape[0]
    i = 0
    while i < n:
        first = registers[4]
        length = registers[5] - first
        strangers = np.int64(1)
        if n - i >= EVENTS_AT_ONCE:
            block_x, block_y, block_t, block_p = (
                x[i : i + EVENTS_AT_ONCE],
                y[i : i + EVENTS_AT_ONCE],
                t[i : i + EVENTS_AT_ONCE],
                p[i : i + EVENTS_AT_ONCE],
            )
            strangers = np.int64(0)
            for j in range(EVENTS_AT_ONCE):
                d = block_t[j] - first
                strangers += (d < 0) | (d >= length)
            if strangers == 0:
                middle = registers[6]
                tick_mask = registers[13]
                outside = np.int64(0)
                for j in range(EVENTS_AT_ONCE):
                    # A negative coordinate becomes a huge one.
                    block_column = np.uint32(block_x[j])
                    block_row = np.uint32(block_y[j])
                    off = (block_column >= width) | (block_row >= height)
                    pixels[j] = NOWHERE if off else block_row * width + block_column
                    outside += off
                fetch_ahead(pixels, outside, pixel_map, sums)
                for j in range(EVENTS_AT_ONCE):
                    value = UNIT + ((block_t[j] - middle) & tick_mask)
                    values[j] = value if block_p[j] > 0 else -value
                add_block(pixels, values, outside, pixel_map, registers, sums, grid)
                i += EVENTS_AT_ONCE
        if strangers > 0:
            for _ in range(min(EVENTS_AT_ONCE, n - i)):
                sign = 1 if p[i] > 0 else -1
                add_one(np.int64(x[i]), np.int64(y[i]), t[i], sign, pixel_map, registers, sums, grid)
                i += 1
        if registers[7] >= registers[8]:
            fold(registers, sums, grid)
        if registers[17] > MAX_TURNS:
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
