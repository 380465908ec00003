"""EVT 2.0 and 2.1 word by word."""

from __future__ import annotations

import numpy as np

from madm_core.events import EventDecoder

HIGH, ON, TRIGGER, OTHER = 0x8 << 28, 0x1 << 28, 0xA << 28, 0xE << 28


def evt2(words, decoder=None):
    decoder = decoder or EventDecoder("evt2", 640, 480)
    return decoder.decode(np.array(words, "<u4").tobytes()).tolist(), decoder


def evt21(words, encoding="evt2.1"):
    decoder = EventDecoder(encoding, 640, 480)
    array = np.array(words, "<u8")
    if encoding.endswith("legacy"):
        array = np.ascontiguousarray(array.view("<u4").reshape(-1, 2)[:, ::-1])
    return decoder.decode(array.tobytes()).tolist(), decoder


def test_evt2_events_triggers_and_other_words():
    words = [ON | 5 << 11 | 6, HIGH | 3, ON | 7 << 22 | 5 << 11 | 6, 63 << 22 | 639 << 11 | 479, OTHER, 0x5 << 28]
    events, decoder = evt2([*words, 640 << 11 | 1, TRIGGER | 9 << 22 | 3 << 8 | 1])
    assert events == [(5, 6, 3 * 64 + 7, 1), (639, 479, 3 * 64 + 63, 0)]
    assert (decoder.out_of_frame, decoder.invalid_words) == (1, 1)
    assert decoder.triggers.tolist() == [(3 * 64 + 9, 3, 1)]
    assert decoder.current_tick == 3 * 64


def test_the_34_bit_clock_wraps():
    events, decoder = evt2([HIGH | 0xFFFFFFF, ON, HIGH, ON])
    assert [event[2] for event in events] == [0xFFFFFFF << 6, 1 << 34]
    decoder.add_wraps(1)
    assert evt2([ON], decoder)[0][0][2] == 2 << 34


def test_evt21_groups_of_32_pixels_in_both_word_orders():
    group = 1 << 60 | 5 << 54 | 32 << 43 | 7 << 32 | 0x80000001
    words = [
        group,
        0x8 << 60 | 2 << 32,
        group,
        3 << 54 | 608 << 43 | 479 << 32 | 1,
        0xA << 60 | 1 << 54 | 4 << 40 | 1 << 32,
    ]
    for encoding in ("evt2.1", "evt21", "evt2.1_legacy"):
        events, decoder = evt21(words, encoding)
        assert events == [(32, 7, 133, 1), (63, 7, 133, 1), (608, 479, 131, 0)]
        assert decoder.triggers.tolist() == [(129, 4, 1)]


def test_evt21_pixels_beyond_the_sensor():
    events, decoder = evt21([0x8 << 60, 624 << 43 | 0xFFFFFFFF, 0x3 << 60])
    assert len(events) == 16
    assert (decoder.out_of_frame, decoder.invalid_words) == (16, 1)


def test_after_a_gap_events_wait_for_the_time():
    _, decoder = evt2([HIGH | 3, ON])
    decoder.mark_gap()
    assert decoder.current_tick is None
    assert evt2([ON, HIGH | 4, ON], decoder)[0] == [(0, 0, 256, 1)]
