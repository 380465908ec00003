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
    OUT_OF_FRAME, OUT_OF_TIME, MASKED, TICK_MASK, WIDTH, HEIGHT, EARLIEST, TURNS,
) = range(18)  # fmt: skip
"""Indices into the int64 registers of an accumulation.

T_START and DURATION are the window in ticks; SEGMENT_START and SEGMENT_STOP the first tick of the current segment and
the first beyond; REFERENCE the tick that d counts from; FOLD_AFTER how many events one pixel can take before its 40
bits could overflow; TICK_MASK is 0 for a single bin, where time does not matter, else -1; EARLIEST the first tick whose
events are accepted; TURNS counts how often time went back to an earlier segment. The others count events.
"""

REGISTERS = 18
EVENTS_AT_ONCE = 64
BLOCK = 16
"""Pixels that share a flag telling whether they have to be folded: two cache lines of sums."""

SHIFT = np.uint32(4)
ZERO, STALE, VALID = 0, 1, 2
"""What a block of the grid holds: zeros, another window's values, this window's. Only what is needed is cleared."""

NOWHERE = np.uint32(0xFFFFFFFF)
ON = 1 << 32  # the polarity bit of an event word; bytes beyond it are padding with any content
UNIT = 1 << 40
MAX_TICKS = 1 << 61


def block_count(pixels: int) -> int:
    """Blocks for a grid of ``pixels``: a multiple of eight, the last of which takes what falls nowhere."""
    return -(-(-(-pixels // BLOCK) + 1) // 8) * 8


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
def fold(
    registers: NDArray[np.int64],
    sums: NDArray[np.int64],
    touched: NDArray[np.uint8],
    grid: NDArray[np.float32],
    written: NDArray[np.uint8],
) -> None:
    """Add the current segment's sums to its two bins and clear them.

    Args:
        registers: See the module.
        sums: (blocks * BLOCK,) int64, the packed sums of each pixel; the last block takes what is not wanted.
        touched: (blocks,) uint8, 1 where a pixel of a block has sums; cleared.
        grid: (bins, pixels) float32, added to.
        written: (bins, blocks) uint8, ZERO, STALE or VALID for each block of the grid.
    """
    segment = registers[3]
    bins = registers[2]
    slope = np.float32(0.0)
    offset = np.float32(0.0)
    if registers[13] != 0:
        slope = np.float32((bins - 1) / registers[1])
        offset = np.float32(((registers[6] - registers[0]) * (bins - 1) - segment * registers[1]) / registers[1])
    pixels = grid.shape[1]
    groups = touched.view(np.uint64)  # eight flags at a glance
    for group in range(groups.shape[0]):
        if groups[group] == 0:
            continue
        for block in range(8 * group, 8 * group + 8):
            if touched[block] == 0:
                continue
            touched[block] = 0
            first = block * BLOCK
            stop = min(first + BLOCK, pixels)
            packed = sums[first : first + BLOCK]
            now = grid[max(segment, 0), first:stop]
            if written[max(segment, 0), block] != VALID:
                written[max(segment, 0), block] = VALID
                now[:] = 0.0
            if segment < 0:
                # Before the window: only the first bin reaches so far back.
                for i in range(now.shape[0]):
                    value = packed[i]
                    packed[i] = 0
                    low = (value << 24) >> 24
                    high = np.float32((value - low) >> 40)
                    now[i] += np.float32(low) * slope + high * offset
            elif segment + 1 < bins and registers[13] != 0:
                later = grid[segment + 1, first:stop]
                if written[segment + 1, block] != VALID:
                    written[segment + 1, block] = VALID
                    later[:] = 0.0
                for i in range(now.shape[0]):
                    value = packed[i]
                    packed[i] = 0
                    low = (value << 24) >> 24
                    high = np.float32((value - low) >> 40)
                    part = np.float32(low) * slope + high * offset
                    now[i] += high - part
                    later[i] += part
            else:
                for i in range(now.shape[0]):
                    value = packed[i]
                    packed[i] = 0
                    low = (value << 24) >> 24
                    high = np.float32((value - low) >> 40)
                    now[i] += high - (np.float32(low) * slope + high * offset)
            if stop < first + BLOCK:
                packed[:] = 0
    registers[7] = 0


@kernel
def add_one(
    x: Scalar,
    y: Scalar,
    t: Scalar,
    sign: Scalar,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    sums: NDArray[np.int64],
    touched: NDArray[np.uint8],
    grid: NDArray[np.float32],
    written: NDArray[np.uint8],
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
        fold(registers, sums, touched, grid, written)
        if not enter_segment(t, registers):
            registers[11] += 1
            return
        registers[17] += back
    sums[pixel] += sign * (UNIT + ((t - registers[6]) & registers[13]))
    touched[pixel // BLOCK] = 1
    registers[7] += 1
    registers[9] += 1


@kernel
def begin_grid(written: NDArray[np.uint8]) -> None:
    """Mark what the previous window left in a grid as stale."""
    for b in range(written.shape[0]):
        for block in range(written.shape[1]):
            written[b, block] = min(written[b, block], STALE)


@kernel
def finish_grid(grid: NDArray[np.float32], written: NDArray[np.uint8]) -> None:
    """Zero the blocks of a (bins, pixels) grid that this window did not write."""
    pixels = grid.shape[1]
    for b in range(written.shape[0]):
        flags = written[b]
        block = 0
        while block < flags.shape[0]:
            if flags[block] != STALE:
                block += 1
                continue
            first = block
            while block < flags.shape[0] and flags[block] == STALE:
                flags[block] = ZERO
                block += 1
            grid[b, first * BLOCK : min(block * BLOCK, pixels)] = 0.0
