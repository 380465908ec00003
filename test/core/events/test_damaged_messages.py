"""A damaged event message costs itself, and the stream goes on with the next ones; each case was found by fuzzing."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.errors import InvalidInputError
from madm_core.events import EventDecoder, EventStream, EventWindow
from madm_core.events.clock import MAX_DRIFT_PPM, SensorClock
from madm_core.events.event_array import EVENT_DTYPE, make_events
from madm_core.events.packet import EventPacketFields
from madm_core.events.packet_order import PacketOrder
from madm_core.events.stream_identity import CHANGE_AFTER

START_NS = 10**12
PERIOD_NS = 20_000_000


def events_at(number: int) -> np.ndarray:
    t = START_NS + number * PERIOD_NS + np.arange(20) * PERIOD_NS // 20
    return make_events(np.arange(20), np.arange(20), t, np.ones(20))


def add(stream: EventStream, number: int, events: np.ndarray | None = None, size: tuple[int, int] = (32, 24)) -> int:
    """Windows that message ``number`` closes."""
    events = events_at(number) if events is None else events
    return len(stream.add_events(events, *size, START_NS + number * PERIOD_NS, number))


@pytest.mark.parametrize("mode", ["time", "count", "both"])
@pytest.mark.parametrize("damaged", [slice(None), slice(-1, None), slice(7, 8)], ids=["all", "last", "middle"])
def test_times_in_the_future_do_not_silence_the_stream(mode, damaged):
    stream = EventStream(EventWindow(mode=mode, count=50), 3)
    for number in range(10):
        add(stream, number)
    future = events_at(10)
    future["t"][damaged] += 1000 * 10**9
    add(stream, 10, future)
    windows = [add(stream, number) for number in range(11, 31)]
    assert sum(windows[:6]) >= 1
    assert sum(windows) >= 7
    assert stream.statistics.resets == 1


def test_a_packet_whose_middle_lies_in_the_future():
    stream = EventStream(EventWindow(), 3)
    windows = 0
    for number in range(40):
        t = np.arange(20, dtype=np.uint64) * 1000 + number * 20_000
        t[10] += 2**30 if number == 10 else 0
        words = (t << np.uint64(32)) | np.uint64(5 << 17 | 3 << 2 | 1)
        stamp_ns = START_NS + number * PERIOD_NS
        packet = EventPacketFields("libcaer", words.view(np.uint8), 32, 24, number, START_NS, stamp_ns)
        windows += len(stream.add(packet, number))
    assert windows >= 14


@pytest.mark.parametrize("hot_pixel_seconds", [0.0, 0.05])
def test_a_stream_that_begins_with_a_damaged_size_gets_going(hot_pixel_seconds):
    stream = EventStream(EventWindow(), 3, hot_pixel_seconds=hot_pixel_seconds)
    add(stream, 0, size=(32, 2400))
    for number in range(1, CHANGE_AFTER):
        with pytest.raises(InvalidInputError):
            add(stream, number)
    assert sum(add(stream, number) for number in range(CHANGE_AFTER, CHANGE_AFTER + 10)) >= 3
    assert stream.statistics.resets == 1


def test_a_packet_that_cannot_start_a_stream_leaves_it_unsettled():
    stream = EventStream(EventWindow(), 3)
    for width in (2**31, 40_000):
        with pytest.raises(InvalidInputError) as refused:
            stream.add(EventPacketFields("mono", b"", width, 24, 0, 0, START_NS), 0)
        assert refused.value.reason == "size"
    assert stream.add(EventPacketFields("mono", b"", 32, 24, 0, 0, START_NS), 0) == []


@pytest.mark.parametrize(("encoding", "time_base"), [("mono", 2**63), ("libcaer", 2**64 - 1), ("libcaer_cmp", 10**16)])
def test_a_time_base_beyond_all_stamps_is_refused(encoding, time_base):
    with pytest.raises(InvalidInputError) as refused:
        EventDecoder(encoding, 32, 24).decode(bytes(16), time_base)
    assert refused.value.reason == "time"


def test_evt3_has_no_time_base_that_could_be_wrong():
    assert EventDecoder("evt3", 32, 24).decode(bytes(16), 2**64 - 1).dtype == EVENT_DTYPE


def test_stamps_that_never_change_are_no_drift_of_the_clock():
    clock = SensorClock(1)
    for tick in range(0, 10**10, 10**8):
        clock.observe(START_NS, tick)
    assert clock.drift_ppm == -MAX_DRIFT_PPM
    assert clock.tick(START_NS + 10**9) > clock.tick(START_NS)


def test_a_number_that_leaps_is_no_count_of_lost_packets():
    order = PacketOrder()
    assert order.judge(5, 0) == ("next", 0)
    assert order.judge(8, 1) == ("next", 2)
    assert order.judge(2**64 - 1, 2) == ("restart", 0)
