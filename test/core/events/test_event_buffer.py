"""The queue of events against a sorted list."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from madm_core.events.event_buffer import EventBuffer

pieces = st.lists(st.lists(st.integers(0, 50), max_size=12), max_size=10)


@settings(max_examples=100, deadline=None)
@given(pieces=pieces, drops=st.lists(st.integers(0, 12), min_size=10, max_size=10))
def test_like_a_sorted_list(pieces, drops):
    buffer, expected, late, cut = EventBuffer(10_000), [], 0, 0
    for ticks, drop in zip(pieces, drops, strict=False):
        assert buffer.append(np.array([[tick, -tick] for tick in ticks], np.int64).reshape(-1, 2))
        late += sum(tick < cut for tick in ticks)
        expected = sorted(expected + [tick for tick in ticks if tick >= cut])
        assert buffer.ticks.tolist() == expected
        assert (buffer.words[:, 1] == -buffer.ticks).all()
        drop = min(drop, len(expected))
        if drop:
            cut = expected[drop - 1]
            buffer.drop(drop, cut)
            expected = expected[drop:]
    assert buffer.late_events == late
    assert buffer.index(25) == sum(tick < 25 for tick in expected)


def test_what_does_not_fit_is_refused_whole():
    buffer = EventBuffer(10)
    words = np.zeros((6, 2), np.int64)
    assert buffer.append(words)
    assert not buffer.append(words)
    assert len(buffer) == 6
    buffer.drop(3)
    assert buffer.append(words)
