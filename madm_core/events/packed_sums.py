"""The sums of a pixel's events in one machine word.

What a segment of a voxel grid needs to know of a pixel are two integers: the sum of its events' signs s, and that of
s * d, where d is an event's distance in ticks from the segment's middle. Both share a word, signs above and times
below, so that an event costs one addition at one address, exact whatever the order.

Most windows fit words of 32 bits, 10 for signs and 22 for times, which keep half as much memory in motion as 64. Each
addition looks at two bits that are set once a field has used half of its range; the pixel's sums then move over to a
64-bit word of a second array that otherwise is never touched. Of its bits 40 are for times, and more where ticks are so
short, as nanoseconds are, that the times would be full long before the signs: each time that a pixel's word might be
full, all pixels have to be folded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel
from madm_core.events.registers import SPILLED, TIME_BITS

EMPTY = np.uint32((1 << 30) + (1 << 20))
"""The 32-bit word of a pixel without events: both fields are biased to the middle of the lower half of their range."""
HALF_USED = np.uint32((1 << 31) | (1 << 21))
NARROW_UNIT = 1 << 22
"""What an ON event adds to the 32-bit word besides its time."""
_TIME_BITS = range(40, 52)
"""Shares of the times in a 64-bit word."""
MAX_REACH = 1 << 18
"""Longest distance in ticks that 32-bit words take: an event uses up an eighth of a field at most."""
MAX_DURATION = 1 << 21
MAX_BINS = 512
"""With windows and bins up to these, the products of the fields in folding fit 32 bits."""


def unchecked_events(reach: int) -> int:
    """Return how many events up to ``reach`` ticks away a 32-bit word with both halves unused takes for certain.

    A power of two: the other half of the times' range holds (1 << 20) // reach of them, and that of the signs' 256.
    """
    return 1 << (min(256, (NARROW_UNIT >> 2) // reach).bit_length() - 1)


def time_bits(reach: int) -> tuple[int, int]:
    """Return how many bits of a 64-bit word its times get for it to take the most events, and how many these are.

    Args:
        reach: Longest distance in ticks.
    """
    events = {bits: min(((1 << (bits - 1)) - 1) // reach, (1 << (63 - bits)) - 1) for bits in _TIME_BITS}
    bits = max(events, key=events.__getitem__)
    return bits, events[bits]


@kernel
def times_of(word: Scalar) -> Scalar:
    """Return the sum of s * d from the 32-bit ``word`` of a pixel."""
    value = np.int32(word - EMPTY)
    return np.int32((np.int32(value + 0x200000) & 0x3FFFFF) - 0x200000)


@kernel
def signs_of(word: Scalar) -> Scalar:
    """Return the sum of s from the 32-bit ``word`` of a pixel."""
    return np.int32(np.int32(np.int32(word - EMPTY) - times_of(word)) >> 22)


@kernel
def spill(registers: NDArray[np.int64], sums: NDArray[np.uint32], wide: NDArray[np.int64], pixel: Scalar) -> None:
    """Move a pixel's sums over to its 64-bit word, and note the pixel if there is room behind the words."""
    if np.int64(pixel) == sums.shape[0] - 1:  # the sums of what is not wanted: no pixel of the grid
        sums[pixel] = EMPTY
        return
    word = sums[pixel]
    wide[pixel] += (np.int64(signs_of(word)) << registers[TIME_BITS]) + np.int64(times_of(word))
    sums[pixel] = EMPTY
    note = sums.shape[0] + registers[SPILLED]
    if note < wide.shape[0]:
        wide[note] = np.int64(pixel)
    registers[SPILLED] += 1


@kernel
def take(sums: NDArray[np.uint32], wide: NDArray[np.int64], pixel: Scalar, bits: Scalar) -> tuple[int, int]:
    """Return the sums of s and of s * d of a pixel from both its words, of ``bits`` for times, and empty these."""
    packed = wide[pixel]
    times = (packed << (64 - bits)) >> (64 - bits)
    signs = (packed - times) >> bits
    word = sums[pixel]
    wide[pixel] = 0
    sums[pixel] = EMPTY
    return signs + np.int64(signs_of(word)), times + np.int64(times_of(word))
