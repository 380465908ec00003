"""What happened to the frames: counters that add up, rates and durations. No ROS in here, safe from any thread."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

_KEPT_DURATIONS = 300
"""Durations of which percentiles are taken: ten seconds at camera rate."""

_RATE_SPAN_S = 5.0


@dataclass(frozen=True)
class Counts:
    """A consistent reading of the counters. ``received == published + dropped + rejected + pending`` always holds.

    Args:
        received: Frames that arrived: images, or event windows that closed.
        published: Frames whose labels were published.
        dropped: Reason -> frames left out on purpose (a newer one came, the node was stopped, ...).
        rejected: Reason -> frames that could not be used.
        pending: Frames still waiting or in work.
    """

    received: int
    published: int
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]
    pending: int


class FrameStatistics:
    """Counts frames and messages and times the stages of their way.

    Args:
        now_s: A clock that never goes back.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._received = 0
        self._published = 0
        self._dropped: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._rejected_messages: Counter[str] = Counter()
        self._messages = 0
        self._message_bytes = 0
        self._message_times: deque[float] = deque()
        self._published_times: deque[float] = deque()
        self._durations: dict[str, deque[float]] = {}
        self._last_problem = ""

    def message(self, size: int) -> None:
        """A message of ``size`` bytes arrived."""
        now_s = self._now_s()
        with self._lock:
            self._messages += 1
            self._message_bytes += size
            self._message_times.append(now_s)
            _forget(self._message_times, now_s)

    def message_rejected(self, reason: str, problem: str) -> None:
        """A message could not be used before it became a frame (an event packet)."""
        with self._lock:
            self._rejected_messages[reason] += 1
            self._last_problem = problem

    def received(self) -> None:
        """A frame came into being."""
        with self._lock:
            self._received += 1

    def dropped(self, reason: str) -> None:
        """A frame was left out on purpose."""
        with self._lock:
            self._dropped[reason] += 1

    def rejected(self, reason: str, problem: str) -> None:
        """A frame could not be used; ``problem`` says why, in words."""
        with self._lock:
            self._rejected[reason] += 1
            self._last_problem = problem

    def published(self, durations_s: Mapping[str, float]) -> None:
        """A frame's labels were published; ``durations_s`` holds the time of each stage in seconds."""
        now_s = self._now_s()
        with self._lock:
            self._published += 1
            self._published_times.append(now_s)
            _forget(self._published_times, now_s)
            for stage, seconds in durations_s.items():
                self._durations.setdefault(stage, deque(maxlen=_KEPT_DURATIONS)).append(seconds)

    @property
    def counts(self) -> Counts:
        """All frame counters at one moment."""
        with self._lock:
            ended = self._published + self._dropped.total() + self._rejected.total()
            return Counts(
                self._received, self._published, dict(self._dropped), dict(self._rejected), self._received - ended
            )

    @property
    def messages(self) -> tuple[int, int, dict[str, int]]:
        """Messages received, their bytes, and those rejected before they became frames, by reason."""
        with self._lock:
            return self._messages, self._message_bytes, dict(self._rejected_messages)

    @property
    def last_problem(self) -> str:
        """The latest rejection in words; empty when there was none."""
        with self._lock:
            return self._last_problem

    @property
    def rates_hz(self) -> tuple[float, float]:
        """Messages received and frames published per second, over the last five seconds."""
        now_s = self._now_s()
        with self._lock:
            return _rate(self._message_times, now_s), _rate(self._published_times, now_s)

    def percentiles_ms(self, stage: str) -> tuple[float, float, float] | None:
        """Median, 99th percentile and maximum of a stage's latest durations in milliseconds; None before the first."""
        with self._lock:
            values = list(self._durations.get(stage, ()))
        if not values:
            return None
        median, high, highest = (np.percentile(values, (50, 99, 100)) * 1e3).tolist()
        return median, high, highest


def _forget(times: deque[float], now_s: float) -> None:
    while times and now_s - times[0] > _RATE_SPAN_S:
        times.popleft()


def _rate(times: deque[float], now_s: float) -> float:
    _forget(times, now_s)
    if len(times) < 2:
        return 0.0
    # Up to now, not up to the last one: the rate of a sensor that has stopped must fall.
    return (len(times) - 1) / max(now_s - times[0], 1e-9)
