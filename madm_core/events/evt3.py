"""EVT 3.0, the vectorised 16-bit stream of Prophesee sensors.

A word's upper four bits are its type; coordinates, time and polarity are registers that outlive a packet. Source: the
Prophesee EVT 3.0 format description; the handling of the noisy time high word follows what ROS's event_camera_codecs
does, so that counts and times agree with recordings made with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel

TIME_HIGH, TIME_LOW, ROW, BASE_X, BASE_POLARITY, TIME_KNOWN, OUT_OF_FRAME, INVALID_WORDS = range(8)
"""Indices into a decoder's int64 registers.

TIME_HIGH holds the upper 12 bits of the sensor's clock and the count of its wraps, shifted up by 12; TIME_KNOWN is 0
until a time high word and 2 once a time low word followed it.
"""

MAX_EVENTS_PER_WORD = 12
WRAP_TICKS = 1 << 24


@kernel
def next_time_high(value: Scalar, time_high: Scalar) -> Scalar:
    """Return the TIME_HIGH register after a time high word of 12 bits.

    A step back by up to 10 units (41 ms) is noise on the wire and is followed, also across the wrap of the 24-bit
    clock; a larger one means that the clock wrapped.
    """
    last = (time_high >> 12) & 0xFFF
    wraps = time_high >> 24
    if value < last and last - value > 10:
        if wraps >= 0:
            wraps += 1
    elif value > last and value - last >= 4096 - 10 and wraps > 0:
        wraps -= 1
    return (wraps << 24) | (value << 12)


@kernel
def decode_evt3(
    words: NDArray[np.uint16],
    start: int,
    time_base: int,
    width: int,
    height: int,
    registers: NDArray[np.int64],
    events: NDArray[np.int64],
    triggers: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Decode ``words`` from index ``start`` until they end or an output array is full.

    Args:
        words: (N,) uint16.
        start: First word to read.
        time_base: Not used by this encoding.
        width: Sensor width in pixels; events beyond it are counted in OUT_OF_FRAME.
        height: Sensor height in pixels.
        registers: (8,) int64, carried from call to call.
        events: (M, 2) int64 view of an EVENT_DTYPE array, written.
        triggers: (K, 2) int64 view of a TRIGGER_DTYPE array, written.

    Returns:
        Next word to read, number of events, number of triggers.
    """
    # Unsigned indices: signed ones would be looked at for counting from the end, at each access.
    n = np.uint64(0)
    i = np.uint64(start)
    stop = np.uint64(words.shape[0])
    room = np.uint64(max(0, events.shape[0] - MAX_EVENTS_PER_WORD + 1))
    n_triggers = 0
    time_high = registers[0]
    time_low = registers[1]
    row = registers[2]
    base_x = registers[3]
    base_polarity = registers[4]
    known = registers[5]
    outside = registers[6]
    invalid = registers[7]
    t = time_high | time_low
    last = stop - np.uint64(stop > 0)
    while i < stop and n < room:
        # Most of a stream is rows followed by one event each, and now and then the time: two words with one comparison.
        while known == 2 and i < last and n < room:
            pair = np.int64(words[i]) | np.int64(words[i + np.uint64(1)]) << 16
            if pair & 0xF000F000 == 0x20000000:
                row = pair & 0x7FF
                x = (pair >> 16) & 0x7FF
                if x < width and row < height:
                    events[n, 0] = t
                    events[n, 1] = x | (row << 16) | ((pair & 0x8000000) << 5)
                    n += np.uint64(1)
                else:
                    outside += 1
                i += np.uint64(2)
            elif pair & 0xF000 == 0x6000:
                time_low = pair & 0xFFF
                t = time_high | time_low
                i += np.uint64(1)
            else:
                break
        if i == stop or n >= room:
            break
        word = np.int64(words[i])
        code = word >> 12
        if code == 2:
            x = word & 0x7FF
            if known == 2:
                if x < width and row < height:
                    events[n, 0] = t
                    events[n, 1] = x | (row << 16) | ((word & 0x800) << 21)
                    n += np.uint64(1)
                else:
                    outside += 1
        elif code == 0:
            if known == 2:
                row = word & 0x7FF
        elif code == 6:
            time_low = word & 0xFFF
            t = time_high | time_low
            if known == 1:
                known = 2
        elif code == 4 or code == 5:
            if known == 2:
                mask = word & 0xFFF
                size = 12
                if code == 5:
                    mask = word & 0xFF
                    size = 8
                high_word = (row << 16) | (base_polarity << 32)
                columns = width if row < height else 0  # of a row outside the sensor no column is inside
                for bit in range(size):
                    if (mask >> bit) & 1:
                        x = base_x + bit
                        if x < columns:
                            events[n, 0] = t
                            events[n, 1] = x | high_word
                            n += np.uint64(1)
                        else:
                            outside += 1
                base_x += size
        elif code == 8:
            time_high = next_time_high(word & 0xFFF, time_high)
            t = time_high | time_low
            if known == 0:
                known = 1
        elif code == 3:
            if known == 2:
                base_x = word & 0x7FF
                base_polarity = (word >> 11) & 1
        elif code == 10:
            if known == 2:
                if n_triggers == triggers.shape[0]:
                    break
                triggers[n_triggers, 0] = t
                triggers[n_triggers, 1] = ((word >> 8) & 0xF) | ((word & 1) << 32)
                n_triggers += 1
        elif code != 14 and code != 7 and code != 15:
            invalid += 1
        i += np.uint64(1)
    registers[0] = time_high
    registers[1] = time_low
    registers[2] = row
    registers[3] = base_x
    registers[4] = base_polarity
    registers[5] = known
    registers[6] = outside
    registers[7] = invalid
    return int(i), int(n), n_triggers
