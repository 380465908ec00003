"""The segments between a voxel grid's bin centres, and the events that fall into them one by one.

The bilinear kernel of the grid (Zhu et al., CVPR 2019) splits the window at the bins' centres into segments. Within a
segment an event adds to two bins only, and what it adds follows from two integers for each pixel (see packed_sums).
When time leaves a segment it is folded into its two bins. Integer sums are exact and do not depend on the order of
events, so that results are the same bits every time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel
from madm_core.events.folding import fold
from madm_core.events.packed_sums import (
    HALF_USED,
    MAX_BINS,
    MAX_DURATION,
    MAX_REACH,
    NARROW_UNIT,
    spill,
    time_bits,
    unchecked_events,
)
from madm_core.events.registers import (
    BINS,
    DURATION,
    EARLIEST,
    FOLD_AFTER,
    HEIGHT,
    IN_WINDOW,
    NARROW,
    OUT_OF_FRAME,
    OUT_OF_TIME,
    REFERENCE,
    SEGMENT,
    SEGMENT_START,
    SEGMENT_STOP,
    SINCE_FOLD,
    T_START,
    TICK_MASK,
    TIME_BITS,
    TURNS,
    WIDTH,
)

MAX_EVENTS_AT_ONCE = 512
"""Events that a kernel may add without comparing SINCE_FOLD with FOLD_AFTER."""
MAX_TICKS = 1 << 61


def plan_window(
    registers: NDArray[np.int64],
    t_start: int,
    t_end: int,
    bins: int,
    width: int,
    height: int,
    *,
    earliest: int = -MAX_TICKS,
) -> bool:
    """Set up ``registers`` for a window; False where its times are too long for integer sums to pay off."""
    duration = t_end - t_start
    registers[:] = 0
    registers[T_START], registers[DURATION], registers[BINS] = t_start, duration, bins
    registers[WIDTH], registers[HEIGHT], registers[EARLIEST] = width, height, earliest
    # An empty segment at the window's start: the first event finds its own.
    registers[SEGMENT_START] = registers[SEGMENT_STOP] = t_start
    if bins == 1 or duration == 0:
        reach = 1
    else:
        reach = duration // (2 * (bins - 1)) + 2
        registers[TICK_MASK] = -1
    if reach <= MAX_REACH and duration <= MAX_DURATION and bins <= MAX_BINS:
        registers[NARROW] = unchecked_events(reach)
    registers[TIME_BITS], events = time_bits(reach)
    registers[FOLD_AFTER] = events - MAX_EVENTS_AT_ONCE
    return bool(registers[FOLD_AFTER] > 20_000) and abs(t_start) + 2 * duration * bins < MAX_TICKS


@kernel
def enter_segment(t: Scalar, registers: NDArray[np.int64]) -> bool:
    """Make the segment of tick ``t`` the current one; False when no bin of the window reaches so far."""
    t_start = registers[T_START]
    duration = registers[DURATION]
    last = registers[BINS] - 1
    if registers[TICK_MASK] == 0:
        # One bin, or a window without length: everything at its start goes to bin 0.
        registers[SEGMENT] = 0
        registers[SEGMENT_START] = registers[EARLIEST] if last == 0 else t_start
        registers[SEGMENT_STOP] = MAX_TICKS if last == 0 else t_start + 1
        registers[REFERENCE] = t_start
        return bool(last == 0 or t == t_start)
    if t - t_start > 2 * duration or t_start - t >= duration:
        return False
    # The very end belongs to the last two bins' segment: the last event would otherwise be folded on its own.
    end = t_start + duration
    segment = last - 1 if t == end else ((t - t_start) * last) // duration
    if segment > last or segment < -1:
        return False
    registers[SEGMENT] = segment
    registers[SEGMENT_START] = t_start - ((-segment * duration) // last) + (segment == last)
    registers[SEGMENT_STOP] = t_start - ((-(segment + 1) * duration) // last) + (segment == last - 1)
    registers[REFERENCE] = (registers[SEGMENT_START] + registers[SEGMENT_STOP]) >> 1
    return True


@kernel
def add_one(
    x: Scalar,
    y: Scalar,
    t: Scalar,
    sign: Scalar,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> None:
    """Add one event of any time: the careful way, for borders of segments and events out of order."""
    if x < 0 or x >= registers[WIDTH] or y < 0 or y >= registers[HEIGHT]:
        registers[OUT_OF_FRAME] += 1
        return
    pixel = y * registers[WIDTH] + x
    if pixel_map.shape[0] > 0:
        pixel = pixel_map[pixel]
        if pixel >= grid.shape[1]:
            return
    if t < registers[EARLIEST]:
        registers[OUT_OF_TIME] += 1
        return
    if t >= registers[SEGMENT_STOP] or t < registers[SEGMENT_START]:
        back = t < registers[SEGMENT_START]
        fold(registers, sums, wide, grid)
        if not enter_segment(t, registers):
            registers[OUT_OF_TIME] += 1
            return
        registers[TURNS] += back
    distance = (t - registers[REFERENCE]) & registers[TICK_MASK]
    if registers[NARROW] != 0:
        sums[pixel] = np.uint32(sums[pixel] + np.uint32(sign * (NARROW_UNIT + distance)))
        if sums[pixel] & HALF_USED:
            spill(registers, sums, wide, pixel)
    else:
        wide[pixel] += sign * ((np.int64(1) << registers[TIME_BITS]) + distance)
    registers[SINCE_FOLD] += 1
    registers[IN_WINDOW] += 1


@kernel
def add_singly(
    count: int,
    xs: NDArray[np.int64],
    ys: NDArray[np.int64],
    times: NDArray[np.int64],
    signs: NDArray[np.int64],
    stop_tick: int,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> int:
    """Add ``count`` events by :func:`add_one`, and those that are nothing special quicker.

    A call with arrays counts references to each, which takes ten times as long as adding the event.

    Returns:
        How many came before the first at or after ``stop_tick``.
    """
    width = registers[WIDTH]
    height = registers[HEIGHT]
    narrow = registers[NARROW] != 0
    mapped = pixel_map.shape[0] > 0
    pixels = grid.shape[1]
    unit = np.int64(1) << registers[TIME_BITS]
    plain = np.int64(0)
    added = 0
    while added < count and times[added] < stop_tick:
        x, y, t, sign = xs[added], ys[added], times[added], signs[added]
        pixel = np.int64(pixels)
        if registers[SEGMENT_START] <= t < registers[SEGMENT_STOP] and 0 <= x < width and 0 <= y < height:
            pixel = y * width + x
            if mapped:
                pixel = np.int64(pixel_map[pixel])
        if pixel < pixels:
            distance = (t - registers[REFERENCE]) & registers[TICK_MASK]
            if narrow:
                word = np.uint32(sums[pixel] + np.uint32(sign * (NARROW_UNIT + distance)))
                sums[pixel] = word
                if word & HALF_USED:
                    spill(registers, sums, wide, pixel)
            else:
                wide[pixel] += sign * (unit + distance)
            plain += 1
        else:
            registers[IN_WINDOW] += plain
            registers[SINCE_FOLD] += plain
            plain = np.int64(0)
            add_one(x, y, t, sign, pixel_map, registers, sums, wide, grid)
        added += 1
    registers[IN_WINDOW] += plain
    registers[SINCE_FOLD] += plain
    return added
