"""EVT 3.0 word by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madm_core.events import EventDecoder

TIME_HIGH, TIME_LOW, X, BASE, VECT_12, VECT_8, TRIGGER = 0x8000, 0x6000, 0x2000, 0x3000, 0x4000, 0x5000, 0xA000
ON = 0x0800


def decode(words, decoder=None):
    decoder = decoder or EventDecoder("evt3", 64, 48)
    return decoder.decode(np.array(words, "<u2").tobytes()).tolist(), decoder


def test_nothing_is_decoded_before_the_time_is_known():
    assert decode([X | 1, 5, X | 2, TIME_LOW | 3, X | 3])[0] == []
    assert decode([TIME_HIGH | 1, X | 1, TIME_LOW | 3, 7, X | ON | 2])[0] == [(2, 7, 0x1003, 1)]


def test_vectors_move_their_base():
    words = [TIME_HIGH, TIME_LOW | 9, 3, BASE | ON | 10, VECT_12 | 0b100000000001, VECT_8 | 0b10000001, VECT_12 | 1]
    events, _ = decode(words)
    assert [event[0] for event in events] == [10, 21, 22, 29, 30]
    assert {event[1:] for event in events} == {(3, 9, 1)}


def test_vector_words_that_run_out_of_the_sensor_are_counted():
    events, decoder = decode([TIME_HIGH, TIME_LOW, 3, BASE | 60, VECT_12 | 0xFFF, VECT_12 | 0xFFF])
    assert [event[0] for event in events] == [60, 61, 62, 63]
    assert decoder.out_of_frame == 20
    events, decoder = decode([TIME_HIGH, TIME_LOW, 48, X | 1, 47, X | 1, X | 64])
    assert events == [(1, 47, 0, 0)] and decoder.out_of_frame == 2


def test_rows_with_one_event_each_and_the_time_between_them():
    words = [TIME_HIGH, TIME_LOW | 5, 7, X | 1, 9, X | ON | 2, TIME_LOW | 6, 9, X | 3, X | 4, 48, X | 5, 11, X | 64, X]
    expected = [(1, 7, 5, 0), (2, 9, 5, 1), (3, 9, 6, 0), (4, 9, 6, 0), (0, 11, 6, 0)]
    for cut in range(len(words) + 1):  # wherever a packet ends
        before, decoder = decode(words[:cut])
        assert before + decode(words[cut:], decoder)[0] == expected
        assert decoder.out_of_frame == 2


def test_words_of_no_type_are_skipped_and_counted():
    events, decoder = decode([TIME_HIGH, TIME_LOW, 3, 0x1000, 0x9123, 0xB000, 0xC000, 0xD000, 0xE018, 0x7001, X])
    assert events == [(0, 3, 0, 0)] and decoder.invalid_words == 5


def test_triggers():
    _, decoder = decode([TIME_HIGH | 1, TIME_LOW | 2, TRIGGER | 6 << 8 | 1, TIME_LOW | 9, TRIGGER | 6 << 8])
    assert decoder.triggers.tolist() == [(0x1002, 6, 1), (0x1009, 6, 0)]
    decode([X], decoder)
    assert len(decoder.triggers) == 0


def test_more_triggers_than_fit_at_once():
    _, decoder = decode([TIME_HIGH, TIME_LOW] + [TRIGGER | 1] * 1000)
    assert len(decoder.triggers) == 1000


def test_the_24_bit_clock_wraps():
    words = [TIME_HIGH | 4095, TIME_LOW | 4095, 0, X, TIME_HIGH | 0, TIME_LOW | 1, X]
    events, decoder = decode(words)
    assert [event[2] for event in events] == [(1 << 24) - 1, (1 << 24) + 1]
    events, _ = decode([TIME_HIGH | 2000, *words], decoder)
    assert [event[2] for event in events] == [(2 << 24) - 1, (2 << 24) + 1]


def test_a_small_step_back_is_noise_and_no_wrap():
    events, _ = decode([TIME_HIGH | 100, TIME_LOW, 0, X, TIME_HIGH | 95, X, TIME_HIGH | 101, X])
    assert [event[2] >> 12 for event in events] == [100, 95, 101]
    events, _ = decode([TIME_HIGH | 4095, TIME_LOW, 0, X, TIME_HIGH, X, TIME_HIGH | 4094, X, TIME_HIGH | 1, X])
    assert [event[2] >> 12 for event in events] == [4095, 4096, 4094, 4097]


def test_after_a_gap_events_wait_for_time_and_row():
    decoder = EventDecoder("evt3", 64, 48)
    decode([TIME_HIGH | 5, TIME_LOW | 1, 7, X], decoder)
    decoder.mark_gap()
    assert decode([X | 1, TIME_LOW | 2, X | 2], decoder)[0] == []
    assert decode([TIME_HIGH | 5, TIME_LOW | 3, X | 3], decoder)[0] == []
    assert decode([9, X | 4], decoder)[0] == [(4, 9, 5 << 12 | 3, 0)]
    decoder.add_wraps(2)
    assert decoder.current_tick == (2 << 24) + (5 << 12 | 3)


@pytest.mark.parametrize("vectors", [False, True])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.sampled_from([1, 3, 48]), duration=st.sampled_from([1, 50, 20_000]))
def test_encoded_events_come_back(encode_evt3, random_events, vectors, seed, rows, duration):
    events = random_events(200, rows, 64, duration, seed)
    events = events[np.lexsort((events["x"], events["p"], events["y"], events["t"]))]
    decoded = EventDecoder("evt3", 64, 48).decode(encode_evt3(events, vectors=vectors))
    assert decoded.tolist() == events.tolist()
