"""Kernels for one block of events: through the pixel map, and into the sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel
from madm_core.events.packed_sums import HALF_USED, spill
from madm_core.events.registers import IN_WINDOW, NARROW, OUT_OF_FRAME, SINCE_FOLD

EVENTS_AT_ONCE = 256
"""Events prepared together: enough to vectorise, few enough to stay in the first cache."""
NOWHERE = np.uint32(0xFFFFFFFF)
"""The pixel of an event off the sensor."""


@kernel
def map_pixels(
    pixels: NDArray[np.uint32],
    outside: Scalar,
    pixel_map: NDArray[np.int32],
    registers: NDArray[np.int64],
    grid: NDArray[np.float32],
) -> None:
    """Send EVENTS_AT_ONCE pixels through the map, those to drop to the last sum, and count the events.

    ``outside`` of them lie off the sensor and have the index NOWHERE.
    """
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
    registers[OUT_OF_FRAME] += outside
    registers[IN_WINDOW] += EVENTS_AT_ONCE - outside - masked
    registers[SINCE_FOLD] += EVENTS_AT_ONCE


@kernel
def add_narrow_block(
    pixels: NDArray[np.uint32],
    values: NDArray[np.uint32],
    registers: NDArray[np.int64],
    sums: NDArray[np.uint32],
    wide: NDArray[np.int64],
) -> None:
    """Add EVENTS_AT_ONCE mapped events to 32-bit words.

    Words are looked at after as many events as could fill the other half of one.
    """
    group = np.uint64(registers[NARROW])
    first = np.uint64(0)
    while first < np.uint64(EVENTS_AT_ONCE):
        stop = first + group
        full = np.uint32(0)
        for j in range(first, stop):
            pixel = pixels[j]
            word = np.uint32(sums[pixel] + values[j])
            sums[pixel] = word
            full |= word
        if full & HALF_USED:
            for j in range(first, stop):
                if sums[pixels[j]] & HALF_USED:
                    spill(registers, sums, wide, pixels[j])
        first = stop


@kernel
def add_wide_block(pixels: NDArray[np.uint32], values: NDArray[np.int64], wide: NDArray[np.int64]) -> None:
    """Add EVENTS_AT_ONCE mapped events to 64-bit words."""
    for j in range(EVENTS_AT_ONCE):
        wide[pixels[j]] += values[j]


@kernel
def new_singles() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return room for the columns, rows, times and signs of a block's events that are added singly."""
    return (
        np.empty(EVENTS_AT_ONCE, np.int64),
        np.empty(EVENTS_AT_ONCE, np.int64),
        np.empty(EVENTS_AT_ONCE, np.int64),
        np.empty(EVENTS_AT_ONCE, np.int64),
    )
