"""The two libcaer encodings of event_camera_msgs, sent by drivers of iniVation cameras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import kernel

OUT_OF_FRAME, INVALID_WORDS = 6, 7
MAX_EVENTS_PER_WORD = 8


@kernel
def decode_libcaer(
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

    The low half is libcaer's polarity event (bit 0 valid, 1 polarity, 2-16 y, 17-31 x), the high half 31 bits of
    microseconds. ``time_base`` (ns) is the host time that belongs to zero; when the low 31 bits wrap within a packet
    the base moves up, as libcaer's own overflow counter does.
    """
    n = 0
    outside = 0
    invalid = 0
    base = time_base
    last = np.int64(0)
    if start > 0:
        base += registers[0]
        last = registers[1]
    i = start
    while i < words.shape[0] and n < events.shape[0]:
        word = np.int64(words[i])
        i += 1
        t = (word >> 32) & 0x7FFFFFFF
        if t < last and last - t > (1 << 30):
            base += 1000 << 31
        last = t
        x = (word >> 17) & 0x7FFF
        y = (word >> 2) & 0x7FFF
        if (word & 1) == 0:
            invalid += 1
        elif x < width and y < height:
            events[n, 0] = base + t * 1000
            events[n, 1] = x | (y << 16) | (((word >> 1) & 1) << 32)
            n += 1
        else:
            outside += 1
    registers[0] = base - time_base
    registers[1] = last
    registers[6] += outside
    registers[7] += invalid
    return i, n, 0


@kernel
def decode_libcaer_cmp(
    words: NDArray[np.uint16],
    start: int,
    time_base: int,
    width: int,
    height: int,
    registers: NDArray[np.int64],
    events: NDArray[np.int64],
    triggers: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Decode ``words`` (N,) uint16 from ``start``; see :func:`madm_core.events.evt3.decode_evt3`.

    Like EVT 3.0 with columns first: type 0 time high, 1 time low, 2 x, 3 y (an event), 4 base y, 5 eight pixels
    upwards. Times restart in every packet and count microseconds from ``time_base``, which is in microseconds too.
    """
    n = 0
    outside = 0
    invalid = 0
    time_high = np.int64(0)
    time_low = np.int64(0)
    x = registers[2]
    base_y = registers[3]
    polarity = registers[4]
    if start > 0:
        time_high = registers[0]
        time_low = registers[1]
    room = events.shape[0] - 8
    i = start
    while i < words.shape[0] and n <= room:
        word = np.int64(words[i])
        i += 1
        code = word >> 12
        if code == 3:
            y = word & 0x7FF
            if x < width and y < height:
                events[n, 0] = ((time_high | time_low) + time_base) * 1000
                events[n, 1] = x | (y << 16) | (((word >> 11) & 1) << 32)
                n += 1
            else:
                outside += 1
        elif code == 2:
            x = word & 0x7FF
        elif code == 1:
            time_low = word & 0xFFF
        elif code == 0:
            time_high = (word & 0xFFF) << 12
        elif code == 4:
            base_y = word & 0x7FF
            polarity = (word >> 11) & 1
        elif code == 5:
            for bit in range(8):
                if (word >> bit) & 1:
                    y = base_y + bit
                    if x < width and y < height:
                        events[n, 0] = ((time_high | time_low) + time_base) * 1000
                        events[n, 1] = x | (y << 16) | (polarity << 32)
                        n += 1
                    else:
                        outside += 1
            base_y += 8
        else:
            invalid += 1
    registers[0] = time_high
    registers[1] = time_low
    registers[2] = x
    registers[3] = base_y
    registers[4] = polarity
    registers[6] += outside
    registers[7] += invalid
    return i, n, 0
