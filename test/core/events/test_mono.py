"""The mono encoding."""

from __future__ import annotations

import numpy as np

from madm_core.events import EventDecoder


def test_fields_and_byte_order():
    words = np.array([1 << 63 | 47 << 48 | 63 << 32 | 0xFFFFFFFF, 3 << 48 | 2 << 32 | 5, 64 << 32, 48 << 48], "<u8")
    for big_endian, data in ((False, words.tobytes()), (True, words.byteswap().tobytes())):
        decoder = EventDecoder("mono", 64, 48)
        events = decoder.decode(data, 10**18, big_endian=big_endian)
        assert events.tolist() == [(63, 47, 10**18 + 0xFFFFFFFF, 1), (2, 3, 10**18 + 5, 0)]
        assert decoder.out_of_frame == 2
        assert decoder.tick_ns == 1
