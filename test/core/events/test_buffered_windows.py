"""Windows whose end is known afterwards: by count, by what comes first, at stamps and triggers; none loses an event."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madm_core.events import EventStream, EventWindow

MS = 1_000_000
STAMP = 1_700_000_000 * 1000 * MS

sizes = st.lists(st.integers(1, 150), min_size=1, max_size=6)
seeds = st.integers(0, 10**6)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, sizes=sizes, stride=st.sampled_from([None, 100, 33]))
def test_count_windows_hold_exactly_their_events(run, reference_grid, random_events, seed, sizes, stride):
    events = random_events(650, 48, 64, 20 * MS, seed)
    stream = EventStream(EventWindow("count", count=100, stride_count=stride), 3)
    found = run(stream, events, sizes)
    for index, (_, grid) in enumerate(found):
        inside = events[index * (stride or 100) :][:100]
        if len(inside) == 100:
            np.testing.assert_allclose(grid, reference_grid(inside, 3, 48, 64), atol=1e-5, rtol=1e-6)
    assert [window.events for window, _ in found[:6]] == [100] * 6
    if stride is None:
        assert [window.events for window, _ in found] == [100] * 6 + [50]


@settings(max_examples=40, deadline=None)
@given(seed=seeds, sizes=sizes)
def test_both_ends_by_what_comes_first(run, random_events, seed, sizes):
    quick = random_events(300, 48, 64, 20 * MS, seed)
    slow = random_events(60, 48, 64, 400 * MS, seed + 1, t_first=20 * MS)
    stream = EventStream(EventWindow("both", duration_ms=50, count=100), 3)
    found = run(stream, np.concatenate([quick, slow]), sizes)
    assert sum(window.events for window, _ in found) == 360
    assert [window.events for window, _ in found[:3]] == [100] * 3
    for window, _ in found[3:]:
        assert window.events <= 100
    for (earlier, _), (later, _) in pairwise(found):
        assert later.t_start_ns >= earlier.t_end_ns


@settings(max_examples=30, deadline=None)
@given(seed=seeds, sizes=sizes, duration=st.sampled_from([0, 15]))
def test_stamps_align_windows(run, reference_grid, random_events, seed, sizes, duration):
    events = random_events(500, 48, 64, 100 * MS, seed)
    stream = EventStream(EventWindow("stamps", duration_ms=duration), 2)
    found = run(stream, events[:250], sizes, finish=False)
    assert found == []
    boundaries = [int(events["t"][0]) + offset * MS for offset in (20, 40, 70, 95)]
    for boundary in boundaries:
        found += [(window, window.grid.copy()) for window in stream.add_boundary(STAMP + boundary)]
    found += run(stream, events[250:], sizes, finish=False)
    ends = [window.t_end_ns - STAMP for window, _ in found]
    assert ends == [boundary for boundary in boundaries if boundary <= events["t"][-1]]
    for index, (window, grid) in enumerate(found):
        end = ends[index]
        start = end - 15 * MS if duration else (ends[index - 1] if index else int(events["t"][0]))
        inside = events[(events["t"] >= start) & (events["t"] < end)]
        assert window.events == len(inside)
        np.testing.assert_allclose(grid, reference_grid(inside, 2, 48, 64, start, end), atol=1e-5, rtol=1e-6)


def test_triggers_align_windows(encode_evt3, random_events, make_packet):
    events = random_events(300, 48, 64, 3000)
    data = b""
    for index in range(3):
        part = events[(events["t"] >= index * 1000) & (events["t"] < (index + 1) * 1000)]
        data += encode_evt3(part) + np.array([0x6000 | (index + 1) * 1000, 0xA001], "<u2").tobytes()
    stream = EventStream(EventWindow("trigger", duration_ms=0), 2)
    found = stream.add(make_packet(data, STAMP, 0), "header")
    late = np.array([0x6000 | 3100, 3, 0x2001], "<u2").tobytes()
    counts = [window.events for window in found] + [w.events for w in stream.add(make_packet(late, STAMP + 4, 1), "b")]
    assert sum(counts) == 300 and len(counts) == 3
    assert stream.statistics.triggers == 3


@pytest.mark.parametrize("mode", ["count", "both", "stamps"])
def test_silence_in_other_modes(run, mode, random_events):
    stream = EventStream(EventWindow(mode, duration_ms=10, count=1000, max_wait_ms=100), 2)
    run(stream, random_events(20, 48, 64, 2 * MS), [20], finish=False)
    assert stream.flush_waiting(STAMP + 50 * MS) == []
    windows = [window.events for at in (150, 300, 500) for window in stream.flush_waiting(STAMP + at * MS)]
    assert windows == ([0, 0, 0] if mode == "stamps" else [20, 0, 0])


def test_more_events_than_memory_drop_the_window_whole(run, random_events):
    stream = EventStream(EventWindow("both", duration_ms=10, count=500, max_events=500), 2)
    burst = random_events(600, 48, 64, 2 * MS)
    calm = random_events(100, 48, 64, 5 * MS, t_first=30 * MS)
    found = run(stream, burst, [600], finish=False) + run(stream, calm, [50])
    assert [window.events for window, _ in found] == [100]
    assert (stream.statistics.dropped_windows, stream.statistics.dropped_events) == (1, 600)
