"""EVT 2.0 (32-bit words) and EVT 2.1 (64-bit words, up to 32 pixels each) of Prophesee sensors.

Source: the Prophesee EVT 2.0 and EVT 2.1 format descriptions. Both send the upper 28 bits of a 34-bit microsecond
clock in words of their own and the lower 6 with each event.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel

TIME_HIGH, TIME_KNOWN, OUT_OF_FRAME, INVALID_WORDS = 0, 5, 6, 7
"""Indices into a decoder's int64 registers; TIME_HIGH is in units of 64 us and includes the clock's wraps."""

EVT2_MAX_EVENTS_PER_WORD = 1
EVT21_MAX_EVENTS_PER_WORD = 32
WRAP_TICKS = 1 << 34


@kernel
def next_time_high_28(value: Scalar, time_high: Scalar) -> Scalar:
    """Return the time register after a time high word of 28 bits; a fall by more than half the range is a wrap."""
    wraps = time_high >> 28
    if (time_high & 0xFFFFFFF) - value > (1 << 27):
        wraps += 1
    return (wraps << 28) | value


@kernel
def decode_evt2(
    words: NDArray[np.uint32],
    start: int,
    time_base: int,
    width: int,
    height: int,
    registers: NDArray[np.int64],
    events: NDArray[np.int64],
    triggers: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Decode ``words`` (N,) uint32 from ``start``; see :func:`madm_core.events.evt3.decode_evt3`."""
    n = 0
    n_triggers = 0
    time_high = registers[0]
    known = registers[5]
    outside = 0
    invalid = 0
    i = start
    while i < words.shape[0] and n < events.shape[0]:
        word = np.int64(words[i])
        code = word >> 28
        if code <= 1:
            if known:
                x = (word >> 11) & 0x7FF
                y = word & 0x7FF
                if x < width and y < height:
                    events[n, 0] = (time_high << 6) | ((word >> 22) & 0x3F)
                    events[n, 1] = x | (y << 16) | (code << 32)
                    n += 1
                else:
                    outside += 1
        elif code == 8:
            time_high = next_time_high_28(word & 0xFFFFFFF, time_high)
            known = 1
        elif code == 10:
            if known:
                if n_triggers == triggers.shape[0]:
                    break
                triggers[n_triggers, 0] = (time_high << 6) | ((word >> 22) & 0x3F)
                triggers[n_triggers, 1] = ((word >> 8) & 0x1F) | ((word & 1) << 32)
                n_triggers += 1
        elif code != 14 and code != 15:
            invalid += 1
        i += 1
    registers[0] = time_high
    registers[5] = known
    registers[6] += outside
    registers[7] += invalid
    return i, n, n_triggers


@kernel
def decode_evt21(
    words: NDArray[np.uint64],
    start: int,
    time_base: int,
    width: int,
    height: int,
    registers: NDArray[np.int64],
    events: NDArray[np.int64],
    triggers: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Decode ``words`` (N,) uint64 from ``start``; see :func:`madm_core.events.evt3.decode_evt3`."""
    n = 0
    n_triggers = 0
    time_high = registers[0]
    known = registers[5]
    outside = 0
    invalid = 0
    room = events.shape[0] - 32
    i = start
    while i < words.shape[0] and n <= room:
        word = np.int64(words[i])
        code = (word >> 60) & 0xF
        if code <= 1:
            if known:
                t = (time_high << 6) | ((word >> 54) & 0x3F)
                base_x = (word >> 43) & 0x7FF
                y = (word >> 32) & 0x7FF
                high_word = (y << 16) | (code << 32)
                for bit in range(32):
                    if (word >> bit) & 1:
                        x = base_x + bit
                        if x < width and y < height:
                            events[n, 0] = t
                            events[n, 1] = x | high_word
                            n += 1
                        else:
                            outside += 1
        elif code == 8:
            time_high = next_time_high_28((word >> 32) & 0xFFFFFFF, time_high)
            known = 1
        elif code == 10:
            if known:
                if n_triggers == triggers.shape[0]:
                    break
                triggers[n_triggers, 0] = (time_high << 6) | ((word >> 54) & 0x3F)
                triggers[n_triggers, 1] = ((word >> 40) & 0x1F) | (((word >> 32) & 1) << 32)
                n_triggers += 1
        elif code != 14 and code != 15:
            invalid += 1
        i += 1
    registers[0] = time_high
    registers[5] = known
    registers[6] += outside
    registers[7] += invalid
    return i, n, n_triggers
