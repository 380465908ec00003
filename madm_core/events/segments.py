"""Kernels that add events to a voxel grid exactly, one 64-bit addition an event.

The bilinear kernel of the grid (Zhu et al., CVPR 2019) splits the window at the bins' centres into segments. Within a
segment an event of sign s at d ticks from the segment's reference adds to two bins only, and both sums follow from
two integers for each pixel: the sum of s and the sum of s * d. Both live in one int64 (the upper 24 and the lower 40
bits), so an event costs one addition at one address. When time leaves a segment it is folded into its two bins.
Integer sums are exact and do not depend on the order of events, so that results are the same bits every time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel

(
    T_START, DURATION, BINS, SEGMENT, SEGMENT_START, SEGMENT_STOP, REFERENCE, SINCE_FOLD, FOLD_AFTER, IN_WINDOW,
    OUT_OF_FRAME, OUT_OF_TIME, MASKED, TICK_MASK, WIDTH, HEIGHT, EARLIEST, TURNS, FILLED,
) = range(19)  # fmt: skip
"""Indices into the int64 registers of an accumulation.

T_START and DURATION are the window in ticks; SEGMENT_START and SEGMENT_STOP the first tick of the current segment and
the first beyond; REFERENCE the tick that d counts from; FOLD_AFTER how many events one pixel can take before its 40
bits could overflow; TICK_MASK is 0 for a single bin, where time does not matter, else -1; EARLIEST the first tick whose
events are accepted; TURNS counts how often time went back to an earlier segment; FILLED is the first bin of the grid
that holds nothing of this window yet, nor do those after it. The others count events.
"""

REGISTERS = 19
EVENTS_AT_ONCE = 256
"""Events prepared together: enough for their prefetched sums to arrive, few enough to stay in the first cache."""
NOWHERE = np.uint32(0xFFFFFFFF)
ON = 1 << 32  # the polarity bit of an event word; bytes beyond it are padding with any content
UNIT = 1 << 40
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
    registers[FOLD_AFTER] = min((UNIT // 2 - 1) // reach, (1 << 23) - 1) - 2 * EVENTS_AT_ONCE
    return bool(registers[FOLD_AFTER] > 20_000) and abs(t_start) + 2 * duration * bins < MAX_TICKS


@kernel
def enter_segment(t: Scalar, registers: NDArray[np.int64]) -> bool:
    """Make the segment of tick ``t`` the current one; False when no bin of the window reaches so far."""
    t_start = registers[0]
    duration = registers[1]
    last = registers[2] - 1
    if registers[13] == 0:
        # One bin, or a window without length: everything at its start goes to bin 0.
        registers[3] = 0
        registers[4] = registers[16] if last == 0 else t_start
        registers[5] = MAX_TICKS if last == 0 else t_start + 1
        registers[6] = t_start
        return bool(last == 0 or t == t_start)
    if t - t_start > 2 * duration or t_start - t >= duration:
        return False
    segment = ((t - t_start) * last) // duration
    if segment > last or segment < -1:
        return False
    registers[3] = segment
    registers[4] = t_start - ((-segment * duration) // last)
    registers[5] = t_start - ((-(segment + 1) * duration) // last)
    registers[6] = (registers[4] + registers[5]) >> 1
    return True


@kernel
def split(packed: Scalar) -> tuple[float, float]:
    """Return the lower and the upper sum of a pixel; their parts may cancel, which takes float64."""
    low = (packed << 24) >> 24
    return float(low), float((packed - low) >> 40)


@kernel
def fill(registers: NDArray[np.int64], grid: NDArray[np.float32], stop: int) -> None:
    """Zero the bins before ``stop`` that hold nothing of this window yet."""
    for b in range(registers[18], stop):
        grid[b] = 0.0
    registers[18] = max(registers[18], stop)


@kernel
def fold(registers: NDArray[np.int64], sums: NDArray[np.int64], grid: NDArray[np.float32]) -> None:
    """Add the current segment's sums to its two bins and clear them.

    All pixels are folded, whether or not they had events: in order, memory is fast, and a bin that is met for the
    first time is written instead of cleared and added to.

    Args:
        registers: See the module.
        sums: (pixels + 1,) int64, the packed sums of each pixel; the last takes what is not wanted, and is never read.
        grid: (bins, pixels) float32, added to; its bins from FILLED on may hold anything.
    """
    if registers[7] == 0:
        return
    registers[7] = 0
    segment = registers[3]
    bins = registers[2]
    slope = 0.0
    offset = 0.0
    if registers[13] != 0:
        slope = (bins - 1) / registers[1]
        offset = ((registers[6] - registers[0]) * (bins - 1) - segment * registers[1]) / registers[1]
    fill(registers, grid, max(segment, 0) + 1)
    pixels = grid.shape[1]
    now = grid[max(segment, 0)]
    later = grid[min(segment + 1, bins - 1)]
    packed = sums[:pixels]
    two_bins = segment >= 0 and segment + 1 < bins and registers[13] != 0
    if segment < 0:
        # Before the window: only the first bin reaches so far back.
        for i in range(pixels):
            low, high = split(packed[i])
            packed[i] = 0
            now[i] += np.float32(low * slope + high * offset)
    elif two_bins and registers[18] == segment + 1:
        for i in range(pixels):
            low, high = split(packed[i])
            packed[i] = 0
            part = low * slope + high * offset
            now[i] += np.float32(high - part)
            later[i] = np.float32(part)
        registers[18] = segment + 2
    elif two_bins:
        for i in range(pixels):
            low, high = split(packed[i])
            packed[i] = 0
            part = low * slope + high * offset
            now[i] += np.float32(high - part)
            later[i] += np.float32(part)
    else:
        for i in range(pixels):
            low, high = split(packed[i])
            packed[i] = 0
            now[i] += np.float32(high - (low * slope + high * offset))


@kernel
def add_one(
    x: Scalar,
    y: Scalar,
    t: Scalar,
    sign: Scalar,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> None:
    """Add one event of any time: the careful way, for borders of segments and events out of order."""
    if x < 0 or x >= registers[14] or y < 0 or y >= registers[15]:
        registers[10] += 1
        return
    pixel = y * registers[14] + x
    if pixel_map.shape[0] > 0:
        pixel = pixel_map[pixel]
        if pixel >= grid.shape[1]:
            registers[12] += 1
            return
    if t < registers[16]:
        registers[11] += 1
        return
    if t >= registers[5] or t < registers[4]:
        back = t < registers[4]
        fold(registers, sums, grid)
        if not enter_segment(t, registers):
            registers[11] += 1
            return
        registers[17] += back
    sums[pixel] += sign * (UNIT + ((t - registers[6]) & registers[13]))
    registers[7] += 1
    registers[9] += 1


@kernel
def finish(registers: NDArray[np.int64], sums: NDArray[np.int64], grid: NDArray[np.float32]) -> None:
    """Fold what is left and zero the bins that no event reached: the grid is ready."""
    fold(registers, sums, grid)
    fill(registers, grid, grid.shape[0])
