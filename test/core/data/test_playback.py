"""Pacing on a clock that the test moves: exact, and nothing here waits."""

from __future__ import annotations

import pytest

from madm_core.data.bag_storage import BagMessage
from madm_core.data.playback import PlaybackClock, paced

SECOND = 1_000_000_000


class Time:
    """A monotonic clock that moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def messages(*seconds: float) -> list[BagMessage]:
    return [BagMessage("/t", "std_msgs/msg/Empty", int(s * SECOND), b"") for s in seconds]


@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_messages_come_when_they_are_due(rate):
    time = Time()
    clock = PlaybackClock(rate, time)
    clock.restart(10 * SECOND)
    due = {}
    for message in paced(messages(10.0, 10.25, 12.0), clock, time.wait):
        due[message.stamp_ns / SECOND] = time.now - 100.0
    assert due == {10.0: 0.0, 10.25: pytest.approx(0.25 / rate), 12.0: pytest.approx(2.0 / rate)}


def test_a_late_message_does_not_delay_the_following_ones():
    time = Time()
    clock = PlaybackClock(1.0, time)
    clock.restart(0)
    stream = paced(messages(0.0, 1.0, 5.0), clock, time.wait)
    next(stream)
    time.now += 3.0  # the subscriber blocked
    next(stream)
    assert time.now == 103.0
    next(stream)
    assert time.now == pytest.approx(105.0)


def test_pause_holds_the_time_and_everything_after_it_shifts():
    time = Time()
    clock = PlaybackClock(1.0, time)
    clock.restart(0)

    def wait(seconds: float) -> None:
        time.wait(seconds)
        if (clock.paused and time.now >= 110.0) or (not clock.paused and 101.0 <= time.now < 110.0):
            clock.toggle_pause()

    arrivals = [time.now for _ in paced(messages(0.5, 2.0), clock, wait)]
    paused_at = 101.0
    assert arrivals[0] == pytest.approx(100.5)
    assert arrivals[1] == pytest.approx(110.0 + (102.0 - paused_at), abs=0.2)


def test_clock_ticks_between_messages_and_never_runs_ahead_of_them():
    time = Time()
    clock = PlaybackClock(2.0, time)
    clock.restart(0)
    items = list(paced(messages(0.0, 1.0), clock, time.wait, clock_period=0.1))
    ticks = [item for item in items if isinstance(item, int)]
    assert ticks == sorted(ticks) and len(ticks) in (5, 6)
    assert ticks[1] - ticks[0] == pytest.approx(0.2 * SECOND, abs=10)
    assert all(tick <= SECOND for tick in ticks)
