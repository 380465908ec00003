"""Counters that add up, rates that fall, percentiles of durations."""

from __future__ import annotations

import threading

import pytest

from madm_ros.frame_statistics import FrameStatistics


def test_received_is_the_sum_of_all_ends_and_pending():
    statistics = FrameStatistics()
    for _ in range(10):
        statistics.received()
    statistics.dropped("superseded")
    statistics.dropped("superseded")
    statistics.rejected("encoding", "what: got this; expected that")
    statistics.published({"inference": 0.01})
    counts = statistics.counts
    assert (counts.received, counts.published, counts.pending) == (10, 1, 6)
    assert counts.dropped == {"superseded": 2}
    assert counts.rejected == {"encoding": 1}
    assert statistics.last_problem == "what: got this; expected that"


def test_messages_are_counted_apart_from_frames():
    statistics = FrameStatistics()
    statistics.message(100)
    statistics.message(50)
    statistics.message_rejected("size", "no")
    assert statistics.messages == (2, 150, {"size": 1})
    assert statistics.counts.received == 0


def test_the_rate_is_that_of_the_last_seconds_and_falls_when_nothing_comes():
    now = [0.0]
    statistics = FrameStatistics(lambda: now[0])
    for step in range(200):
        now[0] = step / 20
        statistics.message(1)
        if step % 2:
            statistics.published({})
    rate_in, rate_out = statistics.rates_hz
    assert rate_in == pytest.approx(20.0, rel=0.02)
    assert rate_out == pytest.approx(10.0, rel=0.05)
    now[0] += 2.5
    assert statistics.rates_hz[0] == pytest.approx(10.0, rel=0.05)
    now[0] += 10.0
    assert statistics.rates_hz == (0.0, 0.0)


def test_percentiles_are_in_milliseconds():
    statistics = FrameStatistics()
    assert statistics.percentiles_ms("decode") is None
    for milliseconds in range(1, 101):
        statistics.published({"decode": milliseconds / 1e3})
    median, high, highest = statistics.percentiles_ms("decode") or (0, 0, 0)
    assert median == pytest.approx(50.5)
    assert high == pytest.approx(99.01)
    assert highest == pytest.approx(100.0)


def test_counters_add_up_when_many_threads_count():
    statistics = FrameStatistics()

    def work() -> None:
        for _ in range(500):
            statistics.received()
            statistics.dropped("superseded")
            statistics.received()
            statistics.published({"total": 0.001})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counts = statistics.counts
        assert 0 <= counts.pending <= 4
    for thread in threads:
        thread.join()
    counts = statistics.counts
    assert (counts.received, counts.published, counts.dropped, counts.pending) == (4000, 2000, {"superseded": 2000}, 0)
