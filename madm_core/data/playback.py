"""When to play what: the time line of a bag that is played back, without ROS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from madm_core.data.bag_storage import BagMessage


class PlaybackClock:
    """The time in a bag while it plays at a rate, with pauses.

    Args:
        rate: Bag seconds a real second, above 0.
        monotonic: Seconds of a clock that never jumps; tests give their own.
    """

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self.monotonic = monotonic
        self._bag_ns = 0
        self._anchor = monotonic()
        self.paused = False

    def restart(self, bag_ns: int) -> None:
        """Sets the time in the bag; from here it runs on, unless it is paused."""
        self._bag_ns = bag_ns
        self._anchor = self.monotonic()

    def now_ns(self) -> int:
        """The time in the bag now."""
        if self.paused:
            return self._bag_ns
        return self._bag_ns + int((self.monotonic() - self._anchor) * self._rate * 1e9)

    def toggle_pause(self) -> None:
        """Holds the time, or lets it run on from where it was held."""
        self.restart(self.now_ns())
        self.paused = not self.paused

    def seconds_until(self, bag_ns: int) -> float:
        """Real seconds until the bag time is reached at the rate, negative once it has passed; infinite while
        paused."""
        if self.paused:
            return float("inf")
        return (bag_ns - self.now_ns()) / (self._rate * 1e9)


def paced(
    messages: Iterable[BagMessage],
    clock: PlaybackClock,
    wait: Callable[[float], None],
    clock_period: float | None = None,
) -> Iterator[BagMessage | int]:
    """Yields each message when it is due, and between them the bag times at which ``/clock`` should tick.

    Errors of single waits do not add up: every message is due at its own offset from the start.

    Args:
        messages: In the order of their stamps.
        clock: Already started at the bag time where playing begins.
        wait: Waits up to so many real seconds; it may return early and it may pause or resume the clock.
        clock_period: Real seconds between two ticks of the clock; None for no ticks. It ticks during a pause as well.

    Yields:
        A :class:`BagMessage`, or an int: the bag time in nanoseconds.
    """
    next_tick = clock.monotonic()
    for message in messages:
        while True:
            now = clock.monotonic()
            if clock_period is not None and now >= next_tick:
                next_tick = max(next_tick + clock_period, now)
                yield min(clock.now_ns(), message.stamp_ns)
            remaining = clock.seconds_until(message.stamp_ns)
            if remaining <= 0:
                break
            until_tick = float("inf") if clock_period is None else max(next_tick - now, 0.0)
            wait(min(remaining, until_tick, 0.1))
        yield message
