"""The ``mono`` encoding of event_camera_msgs: 64 bits an event, 32 bits of nanoseconds since the packet's base."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import kernel

OUT_OF_FRAME, INVALID_WORDS = 6, 7
MAX_EVENTS_PER_WORD = 1


@kernel
def decode_mono(
    words: NDArray[np.uint64],
    start: int,
    time_base: int,
    width: int,
    height: int,
    registers: NDArray[np.int64],
    events: NDArray[np.int64],
    triggers: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Decode ``words`` (N,) uint64 from ``start``; see :func:`madm_core.events.evt3.decode_evt3`.

    Bit 63 is the polarity, 48-62 y, 32-47 x, 0-31 nanoseconds after ``time_base`` (event_camera_msgs README).
    """
    n = 0
    outside = 0
    i = start
    while i < words.shape[0] and n < events.shape[0]:
        word = np.int64(words[i])
        i += 1
        x = (word >> 32) & 0xFFFF
        y = (word >> 48) & 0x7FFF
        if x < width and y < height:
            events[n, 0] = time_base + (word & 0xFFFFFFFF)
            events[n, 1] = x | (y << 16) | (((word >> 63) & 1) << 32)
            n += 1
        else:
            outside += 1
    registers[6] += outside
    return i, n, 0
