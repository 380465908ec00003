"""The libcaer encodings."""

from __future__ import annotations

import numpy as np

from madm_core.events import EventDecoder

BASE = 1_700_000_000_000_000_000


def test_polarity_events():
    words = [
        5 << 32 | 63 << 17 | 47 << 2 | 3,
        6 << 32 | 1 << 17 | 2 << 2 | 1,
        7 << 32 | 1 << 17,
        7 << 32 | 64 << 17 | 1,
    ]
    decoder = EventDecoder("libcaer", 64, 48)
    events = decoder.decode(np.array(words, "<u8").tobytes(), BASE)
    assert events.tolist() == [(63, 47, BASE + 5000, 1), (1, 2, BASE + 6000, 0)]
    assert (decoder.out_of_frame, decoder.invalid_words) == (1, 1)


def test_31_bits_wrap_within_a_packet_only():
    words = np.array([0x7FFFFFFF << 32 | 1, 0 << 32 | 1], "<u8").tobytes()
    decoder = EventDecoder("libcaer", 64, 48)
    for _ in range(2):
        assert decoder.decode(words, BASE)["t"].tolist() == [BASE + 0x7FFFFFFF * 1000, BASE + (1 << 31) * 1000]


def test_compressed_events():
    """Columns first: time high, time low, x, y; then a base row with eight pixels upwards."""
    words = [0x0001, 0x1002, 0x2005, 0x3807, 0x4806, 0x5003, 0x5001, 0x8000, 0x2040, 0x3001]
    decoder = EventDecoder("libcaer_cmp", 64, 48)
    events = decoder.decode(np.array(words, "<u2").tobytes(), BASE // 1000)
    t = BASE + 0x1002 * 1000
    assert events.tolist() == [(5, 7, t, 1), (5, 6, t, 1), (5, 7, t, 1), (5, 14, t, 1)]
    assert (decoder.out_of_frame, decoder.invalid_words) == (1, 1)
    (event,) = decoder.decode(np.array([0x1001, 0x2001, 0x3002], "<u2").tobytes(), BASE // 1000)
    assert event["t"] == BASE + 1000
