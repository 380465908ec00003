"""Streams: no event lost or used twice, whatever arrives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madm_core.errors import InvalidInputError
from madm_core.events import EventStream, EventWindow, PixelMap
from madm_core.events.stream_identity import CHANGE_AFTER
from madm_core.messages.event_messages import parse_event_packet

MS = 1_000_000
STAMP = 1_700_000_000 * 1000 * MS


sizes = st.lists(st.integers(1, 150), min_size=1, max_size=6)
seeds = st.integers(0, 10**6)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, sizes=sizes, stride=st.sampled_from([None, 25.0, 10.0]), bins=st.integers(1, 5))
def test_time_windows_hold_exactly_their_events(run, reference_grid, random_events, seed, sizes, stride, bins):
    events = random_events(600, 48, 64, 200 * MS, seed)
    stream = EventStream(EventWindow(duration_ms=25, stride_ms=stride), bins)
    first = int(events["t"][0])
    found = run(stream, events, sizes)
    for window, grid in found:
        start, end = window.t_start_ns - STAMP, window.t_end_ns - STAMP
        assert end - start == 25 * MS and (start - first) % round((stride or 25) * MS) == 0
        inside = events[(events["t"] >= start) & (events["t"] < end)]
        assert window.events == len(inside)
        np.testing.assert_allclose(grid, reference_grid(inside, bins, 48, 64, start, end), atol=1e-5, rtol=1e-6)
    if stride in (None, 25.0):
        assert sum(window.events for window, _ in found) == 600
    assert len({window.t_start_ns for window, _ in found}) == len(found)


def test_headers_are_those_of_the_last_contributor(encode_evt3, make_packet):
    from madm_core.events.event_array import make_events

    stream = EventStream(EventWindow(duration_ms=10), 2)
    times = {"a": [0, 4000], "b": [9999], "c": [10_000, 15_000], "d": [31_000]}
    windows = []
    for seq, (header, ticks) in enumerate(times.items()):
        events = make_events(np.zeros(len(ticks)), np.zeros(len(ticks)), np.array(ticks), np.ones(len(ticks)))
        windows += stream.add(make_packet(encode_evt3(events), STAMP + ticks[0] * 1000, seq), header)
    assert [(window.header, window.events) for window in windows] == [("b", 3), ("c", 2)]
    assert [window.t_end_ns - STAMP for window in windows] == [10 * MS, 20 * MS]


def test_silence_gives_empty_windows_at_the_longest_wait(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=10, max_wait_ms=100), 2)
    assert stream.flush_waiting(STAMP) == []
    stream.add(make_packet(encode_evt3(random_events(20, 48, 64, 2000)), STAMP, 0), "only")
    assert stream.flush_waiting(STAMP + 100 * MS) == []
    (window,) = stream.flush_waiting(STAMP + 120 * MS)
    assert window.events == 20 and window.header == "only"
    assert stream.flush_waiting(STAMP + 200 * MS) == []
    (window,) = stream.flush_waiting(STAMP + 240 * MS)
    assert window.events == 0 and not window.grid.any() and window.header == "only"
    time_only = np.array([0x8000 | 100, 0x6000], "<u2").tobytes()  # 410 ms, no event
    (window,) = stream.add(make_packet(time_only, STAMP + 410 * MS, 1), "quiet")
    assert window.events == 0 and window.header == "quiet"
    assert stream.statistics.empty_windows == 2


def test_a_long_gap_is_one_empty_window(run, random_events):
    stream = EventStream(EventWindow(duration_ms=10, max_wait_ms=100), 2)
    early, late = random_events(50, 48, 64, 9 * MS), random_events(50, 48, 64, 9 * MS, t_first=5000 * MS)
    found = [window.events for window, _ in run(stream, np.concatenate([early, late]), [50])]
    assert found[:2] == [50, 0]
    assert sum(found) == 100 and 0 not in found[2:]


def test_lost_packets_are_counted_and_resynchronised(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=1), 2)
    for seq in (5, 6, 9, 10):
        events = random_events(50, 48, 64, 900, t_first=seq * 1000)
        stream.add(make_packet(encode_evt3(events), STAMP + seq * MS, seq), seq)
    assert stream.statistics.lost_packets == 2
    assert stream.statistics.events == 200


def test_late_and_repeated_packets_are_left_out(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=1), 2)
    packets = {
        seq: make_packet(encode_evt3(random_events(50, 48, 64, 900, t_first=seq * 1000)), STAMP + seq * MS, seq)
        for seq in range(4)
    }
    for seq in (0, 1, 3, 2, 3):
        stream.add(packets[seq], seq)
    assert stream.statistics.out_of_order_packets == 2
    assert stream.statistics.events == 150


def test_a_bag_that_loops_starts_anew(recording):
    stream = EventStream(EventWindow(duration_ms=50), 3)
    counts = []
    for _ in range(2):
        counts.append(0)
        for cdr in recording:
            packet, header = parse_event_packet(cdr)
            counts[-1] += len(stream.add(packet, header))
    assert counts[0] == counts[1] == 41
    assert stream.statistics.resets == 1
    assert stream.statistics.events == 2 * 343474


def test_a_publisher_that_does_not_count_its_packets_loses_none(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=1), 2)
    windows = 0
    for number in range(5):
        data = encode_evt3(random_events(50, 48, 64, 900, t_first=number * 1000))
        windows += len(stream.add(make_packet(data, STAMP + number * MS, 0), number))
    statistics = stream.statistics
    assert (statistics.events, statistics.lost_packets, statistics.out_of_order_packets) == (250, 0, 0)
    assert windows == 4


def test_a_restarted_driver_starts_anew(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=1), 2)
    data = encode_evt3(random_events(50, 48, 64, 900))
    stream.add(make_packet(data, STAMP, 1000), "a")
    stream.add(make_packet(data, STAMP + 5000 * MS, 0), "b")
    assert stream.statistics.resets == 1


def test_wraps_of_the_sensors_clock_during_a_gap(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=10), 2)
    data = encode_evt3(random_events(50, 48, 64, 900))
    period = (1 << 24) * 1000
    stream.add(make_packet(data, STAMP, 0), "a")
    for index in (3, 4, 9):  # periods apart, with the same 24 bits
        stream.add(make_packet(data, STAMP + index * period, index), "b")
    assert stream.statistics.resets == 0
    (window,) = stream.finish()
    assert abs(window.t_start_ns - (STAMP + 9 * period)) < 10 * MS


def test_a_sensor_clock_that_jumps_starts_anew(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=10), 2)
    stream.add(make_packet(encode_evt3(random_events(50, 48, 64, 900, t_first=2000)), STAMP, 0), "a")
    stream.add(make_packet(encode_evt3(random_events(50, 48, 64, 900, t_first=5_000_000)), STAMP + MS, 1), "b")
    assert stream.statistics.resets == 1
    (window,) = stream.finish()
    assert window.events == 50 and window.t_start_ns == STAMP + MS


def test_a_stream_that_lags_sheds_whole_windows(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=10, max_lag_ms=50), 2)
    windows, parts = [], []
    for seq in range(100):
        events = random_events(40, 48, 64, 1000, seed=seq, t_first=seq * 1000)
        parts.append(events["t"])
        stamp = STAMP + int(events["t"][0] - parts[0][0]) * 1000
        lag = 80 * MS if 25 <= seq < 43 else 0
        windows += stream.add(make_packet(encode_evt3(events), stamp, seq), seq, now_ns=stamp + lag)
    statistics = stream.statistics
    assert statistics.dropped_packets == 18 and statistics.lost_packets == 0
    assert statistics.dropped_windows == 2
    since_first = (np.concatenate(parts) - parts[0][0]) * 1000 + STAMP
    for window in windows:
        assert window.events == ((since_first >= window.t_start_ns) & (since_first < window.t_end_ns)).sum()
    assert [(window.t_start_ns - STAMP) // (10 * MS) for window in windows] == [0, 1, 5, 6, 7, 8]


@pytest.mark.parametrize("mode", ["time", "count"])
def test_time_going_backwards_within_a_packet(run, mode, random_events):
    events = random_events(200, 48, 64, 40 * MS)
    events["t"][100:110] -= 15 * MS
    stream = EventStream(EventWindow(mode, duration_ms=10, count=50), 2)
    found = run(stream, events, [40])
    used = sum(window.events for window, _ in found)
    assert used + stream.statistics.late_events == 200
    assert used >= 190


def test_events_outside_the_sensor_are_counted(run, random_events):
    events = random_events(100, 48, 64, 5 * MS)
    events["x"][:7] = 64
    for mode in ("time", "count"):
        stream = EventStream(EventWindow(mode, duration_ms=10, count=100), 2)
        run(stream, events, [100])
        assert stream.statistics.out_of_frame == 7


@pytest.mark.parametrize("representation", ["voxel_grid", "polarity_histogram", "time_surface"])
def test_maps_apply_to_every_representation(run, representation, random_events):
    events = random_events(400, 48, 64, 9 * MS)
    pixel_map = PixelMap.build(48, 64, region=(10, 20, 16, 8), crop=True)
    inside = events[(events["x"] >= 10) & (events["x"] < 26) & (events["y"] >= 20) & (events["y"] < 28)]
    stream = EventStream(EventWindow(duration_ms=10), 2, representation=representation, pixel_map=pixel_map)
    ((window, grid),) = run(stream, events, [90])
    assert (window.height, window.width, window.events) == (8, 16, len(inside))
    assert grid.any()


def test_hot_pixels_are_found_and_masked(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=10), 2, hot_pixel_seconds=0.05)
    last = None
    for seq in range(10):
        events = random_events(1500, 48, 64, 10_000, seed=seq, t_first=seq * 10_000)
        events["x"][::5], events["y"][::5] = 3, 4
        for window in stream.add(make_packet(encode_evt3(events), STAMP + seq * 10 * MS, seq), seq):
            last = window.grid[:, 4, 3].copy()
    assert stream.statistics.hot_pixels == 1
    assert last is not None and not last.any()


@pytest.mark.parametrize("mode", ["time", "count"])
def test_hot_pixels_of_another_sensor_are_searched_anew(mode, encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(mode, duration_ms=10, count=1000), 2, hot_pixel_seconds=0.05)
    last = None
    for seq in range(30):
        (height, width), (x, y) = ((48, 64), (3, 4)) if seq < 10 else ((24, 32), (5, 6))
        events = random_events(1500, height, width, 10_000, seed=seq, t_first=seq * 10_000)
        events["x"][::5], events["y"][::5] = x, y
        packet = make_packet(encode_evt3(events), STAMP + seq * 10 * MS, seq, width=width, height=height)
        if 10 <= seq < 9 + CHANGE_AFTER:
            with pytest.raises(InvalidInputError, match="differs from its stream"):
                stream.add(packet, seq)
            assert stream.statistics.hot_pixels == 1
            continue
        for window in stream.add(packet, seq):
            last = window.grid.copy()
        if seq == 9 + CHANGE_AFTER:
            assert stream.statistics.hot_pixels == 0
    assert last is not None and last.shape == (2, 24, 32)
    assert last.any() and not last[:, 6, 5].any()
    assert stream.statistics.hot_pixels == 1


def test_another_size_or_encoding_is_refused_and_the_stream_goes_on(encode_evt3, random_events, make_packet):
    stream = EventStream(EventWindow(duration_ms=1), 2)
    data = encode_evt3(random_events(50, 48, 64, 3000))
    assert stream.add(make_packet(data, STAMP, 0), "a")
    for wrong, reason in (({"width": 65}, "size"), ({"encoding": "mono"}, "encoding")):
        with pytest.raises(InvalidInputError, match="expected evt3 64x48") as caught:
            stream.add(make_packet(data, STAMP + MS, 1, **wrong), "b")
        assert caught.value.reason == reason
    later = encode_evt3(random_events(50, 48, 64, 3000, t_first=4000))
    assert stream.add(make_packet(later, STAMP + 4 * MS, 1), "c")
    with pytest.raises(InvalidInputError):
        EventStream(EventWindow(), 2).add(make_packet(data, STAMP, encoding="unheard"), "a")


@pytest.mark.parametrize("hot_pixel_seconds", [0.0, 1.0])
def test_a_pixel_map_of_another_sensor_is_refused(run, random_events, hot_pixel_seconds):
    own = PixelMap.build(10, 10)
    stream = EventStream(EventWindow(), 2, pixel_map=own, hot_pixel_seconds=hot_pixel_seconds)
    with pytest.raises(InvalidInputError, match="10x10"):
        run(stream, random_events(5, 48, 64, 5), [5])


def test_broken_and_empty_packets(make_packet):
    stream = EventStream(EventWindow(), 2)
    assert stream.add(make_packet(b"", STAMP, 0), "a") == []
    assert stream.add(make_packet(b"\x00\x80\x01", STAMP + 1, 1), "a") == []
    assert stream.add(make_packet(np.array([0x1000, 0xB000], "<u2").tobytes(), STAMP + 2, 2), "a") == []
    statistics = stream.statistics
    assert (statistics.packets, statistics.truncated_bytes, statistics.invalid_words) == (3, 1, 2)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.binary(max_size=120), max_size=8), mode=st.sampled_from(["time", "count", "both", "trigger"]))
def test_garbage_never_breaks_a_stream(make_packet, data, mode):
    stream = EventStream(EventWindow(mode, duration_ms=5, count=10), 2)
    events = 0
    for seq, chunk in enumerate(data):
        events += sum(window.events for window in stream.add(make_packet(chunk, STAMP + seq * MS, seq), seq))
    assert events <= stream.statistics.events or mode == "trigger"
