"""From the packed sums of a segment to the two bins of the grid that it lies between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel
from madm_core.events.packed_sums import EMPTY, signs_of, take, times_of
from madm_core.events.registers import (
    BINS,
    DURATION,
    FILLED,
    NARROW,
    REFERENCE,
    SEGMENT,
    SINCE_FOLD,
    SPILLED,
    T_START,
    TICK_MASK,
    TIME_BITS,
)


@kernel
def fill(registers: NDArray[np.int64], grid: NDArray[np.float32], stop: int) -> None:
    """Zero the bins before ``stop`` that hold nothing of this window yet."""
    for b in range(registers[FILLED], stop):
        grid[b] = 0.0
    registers[FILLED] = max(registers[FILLED], stop)


@kernel
def fold_narrow(
    sums: NDArray[np.uint32],
    now: NDArray[np.float32],
    later: NDArray[np.float32],
    first: bool,
    factor: Scalar,
    offset: Scalar,
    duration: Scalar,
) -> None:
    """Fold 32-bit words into the bin before and the bin after; of these the latter, or with ``first`` both, are new.

    The later bin's share of a pixel is ``(times * factor + signs * offset) / duration``: the numerator is an integer
    and exact, as is that of the rest, which is the earlier bin's.
    """
    short_factor = np.int32(factor)
    short_offset = np.int32(offset)
    whole = np.int32(duration)
    scale = 1.0 / duration
    pixels = now.shape[0]
    packed = sums[:pixels]
    if first:
        for i in range(pixels):
            signs = signs_of(packed[i])
            part = np.int32(np.int32(times_of(packed[i]) * short_factor) + np.int32(signs * short_offset))
            packed[i] = EMPTY
            later[i] = np.float32(part * scale)
            now[i] = np.float32(np.int32(np.int32(signs * whole) - part) * scale)
    else:
        for i in range(pixels):
            signs = signs_of(packed[i])
            part = np.int32(np.int32(times_of(packed[i]) * short_factor) + np.int32(signs * short_offset))
            packed[i] = EMPTY
            later[i] = np.float32(part * scale)
            now[i] += np.float32(np.int32(np.int32(signs * whole) - part) * scale)


@kernel
def take_shares(
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    pixel: Scalar,
    bits: Scalar,
    factor: Scalar,
    offset: Scalar,
    duration: Scalar,
) -> tuple[int, int]:
    """Empty a pixel's words of both sizes; returns the later and the earlier bin's share, times the duration."""
    signs, times = take(sums, wide, pixel, bits)
    part = times * factor + signs * offset
    return part, signs * duration - part


@kernel
def fold_wide(
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    now: NDArray[np.float32],
    later: NDArray[np.float32],
    bits: Scalar,
    factor: Scalar,
    offset: Scalar,
    duration: Scalar,
) -> None:
    """Do what :func:`fold_narrow` does for pixels with words of both sizes; adds to both bins."""
    scale = 1.0 / duration
    for i in range(now.shape[0]):
        part, rest = take_shares(sums, wide, i, bits, factor, offset, duration)
        later[i] += np.float32(part * scale)
        now[i] += np.float32(rest * scale)


@kernel
def merge_spilled(notes: NDArray[np.int64], sums: NDArray[np.uint32], wide: NDArray[np.int64], bits: Scalar) -> None:
    """Move what spilled pixels still have in 32 bits over to their 64 bits."""
    for i in range(notes.shape[0]):
        pixel = notes[i]
        signs, times = take(sums, wide, pixel, bits)
        wide[pixel] = (signs << bits) + times


@kernel
def fold_spilled(
    notes: NDArray[np.int64],
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    now: NDArray[np.float32],
    later: NDArray[np.float32],
    bits: Scalar,
    factor: Scalar,
    offset: Scalar,
    duration: Scalar,
) -> None:
    """Do what :func:`fold_wide` does for the pixels in ``notes``; one may occur more than once."""
    scale = 1.0 / duration
    for i in range(notes.shape[0]):
        pixel = notes[i]
        part, rest = take_shares(sums, wide, pixel, bits, factor, offset, duration)
        later[pixel] += np.float32(part * scale)
        now[pixel] += np.float32(rest * scale)


@kernel
def fold_at_end(
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
    bin_: NDArray[np.float32],
    before: bool,
    bits: Scalar,
    factor: Scalar,
    offset: Scalar,
    duration: Scalar,
) -> None:
    """Fold a segment ``before`` the first bin, or else beyond the last, where there is one bin only."""
    scale = 1.0 / duration
    for i in range(bin_.shape[0]):
        part, rest = take_shares(sums, wide, i, bits, factor, offset, duration)
        bin_[i] += np.float32((part if before else rest) * scale)


@kernel
def fold(
    registers: NDArray[np.int64], sums: NDArray[np.uint32], wide: NDArray[np.int64], grid: NDArray[np.float32]
) -> None:
    """Add the current segment's sums to its two bins and clear them.

    All pixels are folded, whether or not they had events: in order, memory is fast, and a bin that is met for the
    first time is written instead of cleared and added to.

    Args:
        registers: See the module registers.
        sums: (pixels + 1,) uint32, see the module packed_sums; the last takes what is not wanted, and is never read.
        wide: (pixels + 1,) int64.
        grid: (bins, pixels) float32, added to; its bins from FILLED on may hold anything.
    """
    if registers[SINCE_FOLD] == 0:
        return
    registers[SINCE_FOLD] = 0
    segment = registers[SEGMENT]
    bits = registers[TIME_BITS]
    bins = registers[BINS]
    duration = np.int64(1)
    factor = np.int64(0)
    offset = np.int64(0)
    if registers[TICK_MASK] != 0:
        duration = registers[DURATION]
        factor = bins - 1
        offset = (registers[REFERENCE] - registers[T_START]) * factor - segment * duration
    if segment < 0 or segment + 1 == bins:
        fill(registers, grid, segment + 2 if segment < 0 else bins)
        fold_at_end(sums, wide, grid[max(segment, 0)], segment < 0, bits, factor, offset, duration)
    elif registers[NARROW] == 0 or registers[SPILLED] > wide.shape[0] - sums.shape[0]:
        fill(registers, grid, segment + 2)
        fold_wide(sums, wide, grid[segment], grid[segment + 1], bits, factor, offset, duration)
    else:
        notes = wide[sums.shape[0] : sums.shape[0] + registers[SPILLED]]
        merge_spilled(notes, sums, wide, bits)
        fill(registers, grid, segment)
        if registers[FILLED] <= segment + 1:
            first = registers[FILLED] == segment
            fold_narrow(sums, grid[segment], grid[segment + 1], first, factor, offset, duration)
            registers[FILLED] = segment + 2
            fold_spilled(notes, sums, wide, grid[segment], grid[segment + 1], bits, factor, offset, duration)
        else:
            fold_wide(sums, wide, grid[segment], grid[segment + 1], bits, factor, offset, duration)
    registers[SPILLED] = 0


@kernel
def finish(
    registers: NDArray[np.int64], sums: NDArray[np.uint32], wide: NDArray[np.int64], grid: NDArray[np.float32]
) -> None:
    """Fold what is left and zero the bins that no event reached: the grid is ready."""
    fold(registers, sums, wide, grid)
    fill(registers, grid, grid.shape[0])
